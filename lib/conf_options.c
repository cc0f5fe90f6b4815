/* The table of options, alphabetical. A new option is one line here; CONFIGURATION.md is generated from it. */
#include <string.h>

#include "lib/conf_internal.h"

#define SECRET true
#define PLAIN  false

/* clang-format off */
const struct conf_option conf_table[] = {
    /* key, type, default, least, secret, read by, help */
    {"clock.day", CONF_DURATION, "24h", "1ms", PLAIN, "producer worker logger", "Real length of a calendar day; `after`, deferrals and deadlines shrink with it (for demos and tests)."},
    {"clock.zone", CONF_STRING, "UTC", NULL, PLAIN, "producer cli", "IANA zone of a bare date when neither the event nor the leaver's country names one."},
    {"definitions.connectors", CONF_LIST, NULL, NULL, PLAIN, "producer worker cli", "Directories with your own connectors; they win by name over the shipped ones."},
    {"definitions.runbooks", CONF_LIST, NULL, NULL, PLAIN, "producer worker cli", "Directories with your own runbooks; they win by name."},
    {"definitions.sources", CONF_LIST, NULL, NULL, PLAIN, "producer worker cli", "Directories with your own sources; they win by name."},
    {"edge.body_limit", CONF_INT, "1048576", "1", PLAIN, "producer vault", "Largest HTTP request body in bytes; more is answered 413."},
    {"edge.drain_grace", CONF_DURATION, "10s", "1ms", PLAIN, "producer vault", "Time that requests in hand get once the API's port is closed at the end of the process."},
    {"edge.drain_wait", CONF_DURATION, "0s", NULL, PLAIN, "producer vault", "How long the API takes requests after SIGTERM, while /readyz says no: as long as a load balancer needs to notice. The chart gives it 5s."},
    {"edge.listen", CONF_STRING, "127.0.0.1:8080", NULL, PLAIN, "producer", "Address of the HTTP API; port 0 picks a free one."},
    {"edge.token", CONF_STRING, NULL, NULL, SECRET, "cli", "Bearer token that `offboard` sends to the edge."},
    {"edge.url", CONF_STRING, "http://127.0.0.1:8080", NULL, PLAIN, "cli", "Where `offboard` finds the edge."},
    {"guards.cap_per_hour", CONF_INT, "100", NULL, PLAIN, "producer", "Live offboardings that may start within an hour, at once or when their date comes; beyond it they are held until somebody approves. Approved ones don't count. 0: no cap."},
    {"guards.protected", CONF_LIST, NULL, NULL, PLAIN, "producer worker cli", "Who may never be offboarded: e-mails, employee ids, accounts as `system:id`."},
    {"http.body_memory", CONF_INT, "67108864", "1048576", PLAIN, "producer vault", "Bytes of request bodies that the API holds at a time; more is answered 503. Senders without a token of ours use half of it at most."},
    {"http.body_time", CONF_DURATION, "30s", "1ms", PLAIN, "producer vault", "Longest the body of a request to the API may take to arrive."},
    {"http.connections", CONF_INT, "1000", "10", PLAIN, "producer vault", "Connections to the API at a time; when they get scarce, those that wait idle longest are closed."},
    {"http.connections_per_address", CONF_INT, "250", "1", PLAIN, "producer vault", "Of these, connections from one address (IPv6: one /64 network); a proxy in front counts as one address."},
    {"http.head_time", CONF_DURATION, "10s", "1ms", PLAIN, "producer vault", "Longest the head of a request to the API may take to arrive."},
    {"http.idle_time", CONF_DURATION, "60s", "1ms", PLAIN, "producer vault", "How long a connection to the API may wait for its next request."},
    {"kafka.brokers", CONF_STRING, "127.0.0.1:9092", NULL, PLAIN, "producer vault worker logger scheduler cli", "Bootstrap servers, comma-separated."},
    {"kafka.prefix", CONF_STRING, "offboard", NULL, PLAIN, "producer vault worker logger scheduler cli", "First part of every topic's and consumer group's name."},
    {"kafka.properties", CONF_LIST, NULL, NULL, SECRET, "producer vault worker logger scheduler cli", "Further librdkafka properties as `name=value` (TLS, SASL)."},
    {"log.level", CONF_STRING, "info", NULL, PLAIN, "all", "Least level of log lines: debug, info, warning or error."},
    {"logger.batch_size", CONF_INT, "1000", "1", PLAIN, "logger", "Most events in one transaction."},
    {"logger.batch_wait", CONF_DURATION, "50ms", "1ms", PLAIN, "logger", "Longest wait for a batch to fill."},
    {"logger.listen", CONF_STRING, "127.0.0.1:0", NULL, PLAIN, "logger", "Address of /metrics, /healthz and /readyz; empty: none."},
    {"postgres.admin", CONF_STRING, NULL, NULL, SECRET, "cli", "Connection string of the owner of the schema, for `offboard migrate`."},
    {"postgres.analyst", CONF_STRING, NULL, NULL, SECRET, "cli", "Connection string of a member of offboard_analyst, for the reading commands."},
    {"postgres.edge", CONF_STRING, NULL, NULL, SECRET, "producer", "Connection string of a member of offboard_edge, which may ask what became of orders and HR events: for `Prefer: wait`, GET /v1/orders/<id>, and real answers to commands. Empty: callers are not told."},
    {"postgres.logger", CONF_STRING, NULL, NULL, SECRET, "logger", "Connection string of a member of offboard_logger."},
    {"postgres.scheduler", CONF_STRING, NULL, NULL, SECRET, "scheduler", "Connection string of a member of offboard_scheduler."},
    {"producer.listen", CONF_STRING, "127.0.0.1:0", NULL, PLAIN, "producer", "Address of /metrics, /healthz and /readyz; empty: none."},
    {"reveal.listen", CONF_STRING, "127.0.0.1:8081", NULL, PLAIN, "vault", "Address of the vault's API, for `offboard reveal`; never of the Internet."},
    {"reveal.url", CONF_STRING, "http://127.0.0.1:8081", NULL, PLAIN, "cli", "Where `offboard reveal` finds the vault."},
    {"scheduler.batch_size", CONF_INT, "500", "1", PLAIN, "scheduler", "Most due rows in one transaction."},
    {"scheduler.figures_every", CONF_DURATION, "30s", "100ms", PLAIN, "scheduler", "How often the figures of the state (open failures, stuck jobs, held) are read for metrics."},
    {"scheduler.listen", CONF_STRING, "127.0.0.1:0", NULL, PLAIN, "scheduler", "Address of /metrics, /healthz and /readyz; empty: none."},
    {"scheduler.poll", CONF_DURATION, "1s", "1ms", PLAIN, "logger scheduler", "Longest sleep between two looks at what is due."},
    {"scheduler.republish_after", CONF_DURATION, "24h", "1s", PLAIN, "scheduler", "A job that has no answer this long after its time is published again, if its message or the answer is lost. One that waits at a slow system is left alone."},
    {"scheduler.republish_every", CONF_DURATION, "1h", "1ms", PLAIN, "scheduler", "How often lost jobs are looked for."},
    {"topics.partitions", CONF_INT, "12", "1", PLAIN, "cli", "Partitions of each topic that `offboard topics` creates; never changed afterwards."},
    {"topics.replication", CONF_INT, "1", "1", PLAIN, "cli", "Replication factor of each topic that `offboard topics` creates."},
    {"vault.escrow_private_key", CONF_STRING, NULL, NULL, SECRET, "vault", "Private half of worker.escrow_key, in PEM: opens what is in escrow for `offboard reveal`. Give it as `vault.escrow_private_key_file`; of several keys, one behind the other, each is tried."},
    {"vault.listen", CONF_STRING, "127.0.0.1:0", NULL, PLAIN, "vault", "Address of /metrics, /healthz and /readyz; empty: none."},
    {"worker.check_every", CONF_DURATION, "1h", NULL, PLAIN, "worker", "How often each system's credentials are tried, so that metrics tell of a refusal before a leaver comes; 0s: never."},
    {"worker.circuit_failures", CONF_INT, "5", "1", PLAIN, "worker", "Failures in a row that open a system's circuit: no connection, or no answer or 5xx for two offboardings at least."},
    {"worker.circuit_wait", CONF_DURATION, "1s", "1ms", PLAIN, "worker", "Time until an open circuit is probed the first time; it doubles with every failing probe."},
    {"worker.circuit_wait_max", CONF_DURATION, "30s", "1ms", PLAIN, "worker", "Longest time between two probes."},
    {"worker.derive_key", CONF_STRING, NULL, NULL, SECRET, "worker", "Key from which actions derive passcodes and passwords (`derive`), 32 characters or more: the same on every retry, stored nowhere."},
    {"worker.drain_grace", CONF_DURATION, "25s", NULL, PLAIN, "worker", "Time running jobs get when the process stops or a partition goes; stay below the pod's grace."},
    {"worker.escrow_key", CONF_STRING, NULL, NULL, PLAIN, "worker", "Public half of an X25519 key, in PEM: seals what actions put in `escrow`, such as a device's passcode. Give it as `worker.escrow_key_file`; without it such actions are blocked."},
    {"worker.in_flight", CONF_INT, "50", "1", PLAIN, "worker", "Jobs of one system that run at a time in one process."},
    {"worker.job_time", CONF_DURATION, "60s", "1ms", PLAIN, "worker", "Longest a job runs before it is deferred."},
    {"worker.listen", CONF_STRING, "127.0.0.1:0", NULL, PLAIN, "worker", "Address of /metrics, /healthz and /readyz; empty: none."},
    {"worker.memory", CONF_DURATION, "10m", NULL, PLAIN, "worker", "A worker that starts reads back the jobs of this time, to skip repeats of them; `settle` may not be longer."},
    {"worker.polls", CONF_LIST, NULL, NULL, PLAIN, "worker", "Sources with `poll` that are asked; the worker of their system does it. Unless named here, none is."},
    {"worker.request_timeout", CONF_DURATION, "30s", "1ms", PLAIN, "worker", "Longest a vendor may take to answer one request."},
    {"worker.retry_wait", CONF_DURATION, "60s", NULL, PLAIN, "worker", "Total waiting for retries inside a worker; beyond it a job is deferred."},
    {"worker.systems", CONF_LIST, NULL, NULL, PLAIN, "worker", "Systems a worker serves when --system is not given."},
    {"worker.urgent_slots", CONF_INT, "5", NULL, PLAIN, "worker", "Of worker.in_flight, slots kept for urgent jobs."},
};
/* clang-format on */

const size_t conf_table_size = COUNT_OF(conf_table);

const struct conf_option *conf_options(size_t *count)
{
    *count = conf_table_size;
    return conf_table;
}

const struct conf_option *conf_option_find(const char *key)
{
    for (size_t i = 0; i < conf_table_size; i++) {
        if (strcmp(conf_table[i].key, key) == 0) {
            return &conf_table[i];
        }
    }
    return NULL;
}

bool conf_in_family(const char *key)
{
    static const char *const families[] = {"systems.", "sources.", "edge.tokens."};
    const char *name = NULL;
    for (size_t i = 0; i < COUNT_OF(families) && !name; i++) {
        name = strncmp(key, families[i], strlen(families[i])) == 0 ? key + strlen(families[i]) : NULL;
    }
    if (!name) {
        return false;
    }
    const char *member = strchr(name, '.');
    if (!member || member == name || !member[1] || strchr(member + 1, '.')) {
        return false;
    }
    return *key == 's' || strcmp(member, ".token") == 0 || strcmp(member, ".roles") == 0;
}
