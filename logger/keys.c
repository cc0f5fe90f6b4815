/* Keys of personal data for PostgreSQL. Its table personal_key is unlogged, so that no key gets into WAL or a backup: it is empty after a
 * crash or a failover, and we fill it from the keyring. From then on the key of an offboarding comes with the first that is recorded of it.
 * Whose key is erased in Kafka is erased there, too. */
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/mem.h"
#include "logger/logger.h"

#define CATCH_UP     (5 * TIME_SECOND)
#define LOOK_EVERY   TIME_SECOND
#define SEARCH_EVERY TIME_MINUTE

enum { COPY_BYTES = 1024 * 1024, ERASE_AT_ONCE = 100 };

static const char copy_sql[] = "COPY stage_key (offboarding_id, key) FROM STDIN";

/* ---- COPY -------------------------------------------------------------------------------------------------------- */

static void add_key(struct buf *out, const char *id, const unsigned char key[SEAL_KEY_SIZE])
{
    buf_addf(out, "%s\t\\\\x", id);
    buf_add_hex(out, key, SEAL_KEY_SIZE);
    buf_adds(out, "\n");
}

static void wipe(struct buf *text)
{
    if (text->len) {
        OPENSSL_cleanse(text->data, text->len);
    }
    text->len = 0;
}

static int copy(struct logger *logger, struct buf *text, struct err *err)
{
    int result = text->len ? pg_copy(logger->pg, err, copy_sql, buf_text(text), text->len) : 0;
    wipe(text);
    return result;
}

int keys_copy(struct logger *logger, const struct row *rows, size_t count, struct err *err)
{
    struct buf text = BUF_INIT;
    unsigned char key[SEAL_KEY_SIZE];
    for (size_t i = 0; i < count; i++) {
        const struct row *row = &rows[i];
        bool first = !row->refused && (strcmp(row->name, "initiated") == 0 || strcmp(row->name, "intake") == 0);
        if (first && row->sealed &&
            keyring_find(logger->keyring, row->offboarding_id, key, &(int64_t){0}) == KEY_KNOWN) {
            add_key(&text, row->offboarding_id, key);
        }
    }
    if (!logger->digests_there && keyring_find(logger->keyring, KEY_OF_DIGESTS, key, &(int64_t){0}) == KEY_KNOWN) {
        add_key(&text, KEY_OF_DIGESTS, key);
        logger->digests_sent = true;
    }
    OPENSSL_cleanse(key, sizeof key);
    int result = 0;
    if (text.len) {
        result = copy(logger, &text, err) == 0 ? pg_run(logger->pg, err, "SELECT take_keys()", 0, NULL) : -1;
    }
    buf_release(&text);
    return result;
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

struct filling {
    struct logger *logger;
    struct buf text;
    size_t count;
    struct err *err;
    int result;
};

static void fill_one(const char id[ID_SIZE], const unsigned char key[SEAL_KEY_SIZE], void *arg)
{
    struct filling *filling = arg;
    if (filling->result != 0) {
        return;
    }
    add_key(&filling->text, id, key);
    filling->count++;
    if (filling->text.len > COPY_BYTES) {
        filling->result = copy(filling->logger, &filling->text, filling->err);
    }
}

/* `all`, or the key of digests alone: by it PostgreSQL sees that these are its keys. */
static int fill(struct logger *logger, bool all, struct err *err)
{
    struct filling filling = {.logger = logger, .text = BUF_INIT, .err = err};
    unsigned char key[SEAL_KEY_SIZE];
    if (pg_run(logger->pg, err, "BEGIN", 0, NULL) != 0) {
        return -1;
    }
    if (all) {
        keyring_each(logger->keyring, fill_one, &filling);
    } else if (keyring_find(logger->keyring, KEY_OF_DIGESTS, key, &(int64_t){0}) == KEY_KNOWN) {
        fill_one(KEY_OF_DIGESTS, key, &filling);
    }
    OPENSSL_cleanse(key, sizeof key);
    bool filled = filling.result == 0 && copy(logger, &filling.text, err) == 0 &&
                  pg_run(logger->pg, err, "SELECT take_keys()", 0, NULL) == 0 &&
                  pg_run(logger->pg, err, "COMMIT", 0, NULL) == 0;
    if (!filled && pg_connected(logger->pg)) {
        pg_run(logger->pg, NULL, "ROLLBACK", 0, NULL);
    }
    wipe(&filling.text);
    buf_release(&filling.text);
    if (filled && all) {
        char *count = mem_printf("%zu", filling.count);
        log_info("the keys of personal data are in PostgreSQL", "keys", count, NULL);
        free(count);
    }
    return filled ? 0 : -1;
}

/* Rows that a statement gives; -1 with an err. */
static int count_rows(struct logger *logger, const char *sql, struct err *err)
{
    PGresult *rows = pg_query(logger->pg, err, sql, 0, NULL);
    int count = rows ? PQntuples(rows) : -1;
    PQclear(rows);
    return count;
}

/* 1 when the key of digests is there, which says that all are; 0 when not; -1 with an err. */
static int there(struct logger *logger, struct err *err)
{
    return count_rows(logger,
                      "SELECT offboarding_id FROM personal_key WHERE offboarding_id = '" KEY_OF_DIGESTS "'::uuid", err);
}

/* Notes the offboardings that `sql` names whose keys are not in Kafka: they were erased while no logger listened. */
static int note_erased(struct logger *logger, const char *sql, enum log_level level, const char *message,
                       struct err *err)
{
    PGresult *rows = pg_query(logger->pg, err, sql, 0, NULL);
    if (!rows) {
        return -1;
    }
    int result = PQntuples(rows) ? keyring_catch_up(logger->keyring, CATCH_UP, err) : 0;
    for (int i = 0; result == 0 && i < PQntuples(rows); i++) {
        unsigned char key[SEAL_KEY_SIZE];
        const char *id = PQgetvalue(rows, i, 0);
        if (keyring_find(logger->keyring, id, key, &(int64_t){0}) != KEY_KNOWN) {
            log_line(level, message, "offboarding_id", id, NULL);
            keys_erased(id, &logger->erasures);
        }
        OPENSSL_cleanse(key, sizeof key);
    }
    PQclear(rows);
    return result;
}

/* A topic of keys that lost all of them looks as if everything had been erased. The planner always has a key of digests there. */
static int check_topic(struct logger *logger, struct err *err)
{
    unsigned char key[SEAL_KEY_SIZE];
    bool known = keyring_find(logger->keyring, KEY_OF_DIGESTS, key, &(int64_t){0}) == KEY_KNOWN;
    OPENSSL_cleanse(key, sizeof key);
    if (known) {
        return 0;
    }
    int count = count_rows(logger, "SELECT id FROM offboarding WHERE erased_at IS NULL LIMIT 1", err);
    return count <= 0 ? count
                      : err_set(err, ERR_RETRY,
                                "the topic of keys has no key of digests, and PostgreSQL has offboardings: bring the "
                                "topic back before anything else; nothing is taken for erased meanwhile");
}

static int find_erased(struct logger *logger, struct err *err)
{
    if (check_topic(logger, err) != 0) {
        return -1;
    }
    int result =
        note_erased(logger, "SELECT id FROM offboarding WHERE erase_ordered_at IS NOT NULL AND erased_at IS NULL",
                    LOG_INFO, "an offboarding was erased as ordered, while this logger was away", err);
    return result == 0 ? note_erased(logger, "SELECT keyless_offboardings()", LOG_ERROR,
                                     "the key of an offboarding that is not over is gone: it is cancelled, and its "
                                     "personal data are erased",
                                     err)
                       : -1;
}

int keys_bring(struct logger *logger, struct err *err)
{
    char *why = NULL;
    if (!keyring_ready(logger->keyring, &why)) {
        err_set(err, ERR_RETRY, "%s", why);
        free(why);
        return -1;
    }
    logger->search_due = time_monotonic() + SEARCH_EVERY;
    int digests = there(logger, err);
    if (digests < 0 || fill(logger, digests == 0 || logger->keys_missed, err) != 0 || find_erased(logger, err) != 0) {
        return -1;
    }
    logger->keys_missed = false;
    logger->digests_there = digests > 0;
    logger->digests_sent = false;
    return 0;
}

/* 1 when the key of something that is still to happen is missing; -1 with an err. */
static int misses_any(struct logger *logger, struct err *err)
{
    if (time_monotonic() < logger->search_due) {
        return 0;
    }
    int missing = count_rows(logger, "SELECT keyless_offboardings() LIMIT 1", err);
    logger->search_due = time_monotonic() + SEARCH_EVERY;
    return missing;
}

/* Nothing may come from Kafka for hours, and meanwhile the scheduler needs keys of a server that has crashed. */
int keys_look(struct logger *logger, struct err *err)
{
    if (time_monotonic() < logger->keys_due) {
        return 0;
    }
    int digests = there(logger, err);
    int missing = digests >= 0 ? misses_any(logger, err) : -1;
    if (missing < 0) {
        return -1;
    }
    logger->keys_due = time_monotonic() + LOOK_EVERY;
    if (missing || (digests == 0 && logger->digests_there)) {
        logger->keys_missed = true;
        logger->session_ready = false;
        return err_set(err, ERR_RETRY, "keys of personal data are gone from PostgreSQL: they are brought once more");
    }
    return 0;
}

/* ---- erasing ----------------------------------------------------------------------------------------------------- */

void erasures_init(struct erasures *erasures)
{
    *erasures = (struct erasures){0};
    pthread_mutex_init(&erasures->lock, NULL);
}

void erasures_release(struct erasures *erasures)
{
    pthread_mutex_destroy(&erasures->lock);
    free(erasures->ids);
}

void keys_erased(const char id[ID_SIZE], void *arg)
{
    struct erasures *erasures = arg;
    pthread_mutex_lock(&erasures->lock);
    if ((erasures->count & (erasures->count - 1)) == 0) { /* doubles */
        erasures->ids = mem_realloc(erasures->ids, (erasures->count ? 2 * erasures->count : 1) * sizeof *erasures->ids);
    }
    memcpy(erasures->ids[erasures->count++], id, ID_SIZE);
    pthread_mutex_unlock(&erasures->lock);
}

/* "{id,id}" of the first ones, which stay in the list; `count` gets how many they are. NULL: there are none. */
static char *first_ids(struct erasures *erasures, size_t *count)
{
    struct buf out = BUF_INIT;
    pthread_mutex_lock(&erasures->lock);
    *count = erasures->count < ERASE_AT_ONCE ? erasures->count : ERASE_AT_ONCE;
    for (size_t i = 0; i < *count; i++) {
        buf_addf(&out, "%c%s", i ? ',' : '{', erasures->ids[i]);
    }
    pthread_mutex_unlock(&erasures->lock);
    buf_adds(&out, "}");
    char *text = buf_take(&out);
    if (*count == 0) {
        free(text);
        text = NULL;
    }
    return text;
}

static void forget(struct erasures *erasures, size_t count)
{
    pthread_mutex_lock(&erasures->lock);
    erasures->count -= count;
    memmove(erasures->ids, erasures->ids + count, erasures->count * sizeof *erasures->ids);
    pthread_mutex_unlock(&erasures->lock);
}

int keys_erase(struct logger *logger, struct err *err)
{
    size_t count = 0;
    char *ids;
    while ((ids = first_ids(&logger->erasures, &count))) {
        const char *const values[] = {ids};
        PGresult *row = pg_query(logger->pg, err, "SELECT erase_offboardings($1::uuid[])", 1, values);
        free(ids);
        if (!row) {
            return -1;
        }
        if (strcmp(PQgetvalue(row, 0, 0), "0") != 0) {
            log_info("the personal data of offboardings whose keys are gone were erased", "offboardings",
                     PQgetvalue(row, 0, 0), NULL);
        }
        PQclear(row);
        forget(&logger->erasures, count);
    }
    return 0;
}
