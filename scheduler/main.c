#include "lib/daemon.h"
#include "lib/mem.h"
#include "scheduler/scheduler.h"

static void *start(const struct conf *conf, struct err *err)
{
    return scheduler_new(conf, err);
}

static bool ready(void *arg, char **why)
{
    struct scheduler *scheduler = arg;
    if (!atomic_load(&scheduler->ready)) {
        *why = mem_strdup("PostgreSQL or Kafka is away, or the logger has not yet recorded what is in Kafka");
        return false;
    }
    return keyring_ready(scheduler->publisher.keyring, why) && kafka_answers(scheduler->publisher.health, why);
}

static int run(void *arg, struct err *err)
{
    return scheduler_run(arg, err);
}

static void end(void *arg)
{
    scheduler_free(arg);
}

int main(int argc, char **argv)
{
    static const struct daemon_service service = {
        .process = "offboard-scheduler",
        .summary = "Publishes what is due.",
        .listen_option = "scheduler.listen",
        .start = start,
        .ready = ready,
        .run = run,
        .free = end,
    };
    return daemon_serve(&service, argc, argv);
}
