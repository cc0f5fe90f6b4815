#include "lib/daemon.h"
#include "lib/mem.h"
#include "logger/logger.h"

static void *start(const struct conf *conf, struct err *err)
{
    return logger_new(conf, err);
}

static bool ready(void *arg, char **why)
{
    struct logger *logger = arg;
    if (!atomic_load(&logger->ready)) {
        *why = mem_strdup("PostgreSQL or Kafka is away, or the schema is not there");
        return false;
    }
    return keyring_ready(logger->keyring, why) && kafka_answers(logger->health, why);
}

static int run(void *arg, struct err *err)
{
    return logger_run(arg, err);
}

static void end(void *arg)
{
    logger_free(arg);
}

int main(int argc, char **argv)
{
    static const struct daemon_service service = {
        .process = "offboard-logger",
        .summary = "Records events in PostgreSQL, exactly once.",
        .listen_option = "logger.listen",
        .start = start,
        .ready = ready,
        .run = run,
        .free = end,
    };
    return daemon_serve(&service, argc, argv);
}
