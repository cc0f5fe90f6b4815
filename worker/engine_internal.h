/* Inside the engine: one system, one run of a job, and what its files offer each other. */
#ifndef OFFBOARD_WORKER_ENGINE_INTERNAL_H
#define OFFBOARD_WORKER_ENGINE_INTERNAL_H

#include "lib/escrow.h"
#include "lib/message.h"
#include "lib/metrics.h"
#include "worker/circuit.h"
#include "worker/engine_place.h"
#include "worker/fiber.h"
#include "worker/http.h"
#include "worker/ldap_call.h"
#include "worker/ldap_text.h"
#include "worker/limits.h"
#include "worker/mail.h"
#include "worker/worker.h"

/* ---- waiting (engine_wait.c) ------------------------------------------------------------------------------------- */

/* A fiber that sleeps until a time or until it is woken. */
struct sleeper;

/* Sleeps `us` microseconds (-1: until woken); `*slot` points to the sleeper meanwhile, so that others can wake it. */
void engine_sleep(uv_loop_t *loop, int64_t us, struct sleeper **slot);

/* What one fiber of a job sleeps on or sends, so that the job can be interrupted; a job has several fibers while it makes the
 * requests of a `for_each` in parallel. */
struct engaged {
    struct engaged *next;
    struct sleeper **slot;
    struct flight **flight;
};

struct run;
void run_engage(struct run *run); /* at the run's begin: an interruption reaches it from now on */
void run_disengage(struct run *run);

/* The same for a job, which can be interrupted meanwhile. */
void run_sleep(struct run *run, int64_t us, struct sleeper **slot);

void sleeper_wake(struct sleeper *sleeper); /* from anywhere on the loop's thread; NULL is accepted */

/* First come, first served. */
struct waiting_line {
    struct waiting {
        struct waiting *next;
        struct sleeper *sleeper;
    } * first;
};

void line_join(struct waiting_line *line, struct waiting *self); /* at its end; `self` stays the caller's */
void line_leave(struct waiting_line *line, const struct waiting *self);
void line_wake_first(struct waiting_line *line);
void line_wake_all(struct waiting_line *line);

/* ---- systems ----------------------------------------------------------------------------------------------------- */

struct named_limit {
    char *name;
    struct limit limit;
    struct waiting_line line;
};

/* Something wrong with a system, and since when (0: it isn't so). */
struct finding {
    int64_t since;
    int status;
    char *why;
};

/* engine_health.c: what a system's answers tell of it. */
struct health {
    struct finding down;
    struct finding refused;
    struct finding throttled;
    int64_t throttled_at; /* monotonic; the last answer that said so */
    int64_t well_since;   /* 0: it isn't, or nothing has shown it */
};

struct system {
    struct engine *engine;
    const struct definition *connector;
    json_t *settings;
    json_t *marks; /* engine_state.c: {<action>: the mark of its requests}, once it was needed; NULL: none was */
    struct named_limit *limits;
    size_t limit_count;
    struct circuit circuit;
    struct health health;
    struct sleeper *prober; /* sleeps between two probes */
    bool probing;
    struct waiting_line circuit_line;
    double share;
    struct credentials *credentials; /* exchanged for tokens, or to sign with; NULL: neither */
    bool refused;                    /* credentials: confirmed by a failing check, not yet asked for */
    char *refused_why;
    int64_t expires;    /* when the credential ends; 0: nobody said */
    int64_t checked_at; /* of the last check for `denied` */
    bool check_failed;
};

/* Accounts found lately, so that jobs of one offboarding don't look twice. */
struct engine_cache;

struct engine {
    int magic;
    uv_loop_t *loop;
    const struct conf *conf;
    struct definitions *definitions;
    struct expr_set *exprs;
    struct http *http;
    struct system *systems;
    size_t system_count;
    struct engine_cache *cache;
    struct token_cache *tokens;
    struct escrow_key *escrow; /* worker.escrow_key; NULL: not set */
    bool stopping;
    bool tracing;   /* engine_trace() */
    bool impatient; /* engine_impatient() */
    struct metric *requests;
    struct metric *request_seconds;
};

struct system *engine_system(const struct engine *engine, const char *name);

struct response;
void health_down(struct health *health, const struct response *response);     /* the circuit has opened */
void health_answered(struct health *health, const struct response *response); /* it was classified */
/* A check: refused (`denied`), taken (`why` NULL), or it says nothing of the credentials. */
void health_checked(struct health *health, bool denied, int status, const char *why);
void health_tell(struct health *health, bool circuit_open, struct system_health *out);
void health_release(struct health *health);

/* engine_settings.c: the system's settings and limits. -1 with an ERR_FATAL that names the setting that is missing, is no number
 * or no duration. */
int settings_load(struct system *system, struct err *err);
/* Why nobody could be reached, with the settings that the request's address is made of; `error` is masked. The caller frees. */
char *address_error(const struct run *run, const json_t *request, const char *error);
char *token_address_error(const struct run *run, const char *error);
/* The settings that a template reads: "systems.okta.url, systems.okta.org"; NULL: none. The caller frees. */
char *settings_named(const struct system *system, const char *tmpl);

/* engine_cache.c: NULL when unknown; borrowed. `accounts` is copied by reference. */
struct engine_cache *engine_cache_new(void);
void engine_cache_free(struct engine_cache *cache);
json_t *engine_cache_get(struct engine_cache *cache, const char *offboarding, const char *system);
void engine_cache_put(struct engine_cache *cache, const char *offboarding, const char *system, json_t *accounts);

/* ---- one run ----------------------------------------------------------------------------------------------------- */

/* How a request, a sequence or a job ended. The order is from best to worst: of several, the worst counts. */
enum verdict {
    VERDICT_DONE,
    VERDICT_ALREADY,
    VERDICT_MISSING,
    VERDICT_DEFERRED,
    VERDICT_BLOCKED,
    VERDICT_DENIED,
    VERDICT_FAILED,
    VERDICT_CANCELLED,
    VERDICT_ABANDONED,
};

/* What a job has done, whichever of its lanes did it: the calls, for its event, and what follows from them. */
struct record {
    json_t *calls;
    int left_out;   /* calls that were made and found no place in `calls` */
    json_t *trace;  /* every call, when the engine traces; NULL: none */
    bool changed;   /* a changing call may have had its effect, in this attempt or in an earlier one */
    bool held_back; /* a dry run has not sent a change: what follows would see it */
};

struct run {
    struct engine *engine;
    struct system *system;
    struct job *job;
    const json_t *action;
    const char *action_name;
    bool dry;
    bool only_verify;     /* the job is a later read-back of what another one did */
    json_t *context;      /* of expressions */
    json_t *accounts;     /* ids, in the order of `places`; owned, NULL: not known yet */
    struct place *places; /* one for each account; owned */
    size_t place_count;
    size_t account;      /* index of the account in hand */
    struct place *place; /* of the account in hand, or of the search for accounts */
    struct record *record;
    char span_id[SPAN_ID_SIZE]; /* of the request in hand */
    char *url;                  /* of the request rendered last; owned, NULL: none */
    int64_t waited;             /* in retries, microseconds */
    int tries;                  /* of the request in hand */
    bool collecting;            /* over pages or items: what is saved is joined into lists */
    bool unsent;                /* by a dry run: there is no answer to the latest request */
    bool uncertain;             /* a dry run can't decide the request's `if`: an answer is missing */
    bool begun;                 /* a `once` call has begun, now or in a life before */
    bool begin_acknowledged;    /* in this life */
    bool found_before;          /* `find` saw the effect of an earlier call */
    bool read_back;             /* an error was answered by looking: the state is there */
    bool seen;                  /* it was there at the last look, and nothing was changed since */
    bool searching;             /* for accounts */
    bool looking;               /* reading back: a cancellation waits until it is known what the calls before did */
    bool anew;                  /* the connector was changed since the last attempt, so what had begun begins again */
    bool skipped;               /* the runbook says that it isn't to run: condition, too late */
    json_t *waits;              /* {signal, key, heard} that a deferral waits for; owned, NULL: for none */
    char *progress;             /* what the last of those signals said; owned */
    int64_t due_at;             /* of a deferral */
    json_t *search;             /* where the search for accounts stands; owned, NULL: it has ended or has not begun */
    json_t *troubles;           /* {<where>: {since, deferrals}} of the troubles that last; owned */
    char *where;                /* what is under way, as `troubles` names it; owned */
    int last_status;
    json_t *secrets;          /* saved values that are for this job only, by name; owned */
    struct secret_set *masks; /* their texts, and the derived values; owned */
    json_t *pinned;           /* found by this run; owned, NULL: none looked up */
    json_t *
        searched; /* what the search for accounts asked, and how many accounts each answer named; owned, NULL: no search */
    json_t *verified; /* of the event; owned */
    json_t *open;     /* what the action leaves in place on purpose, by kind: {items, why}; owned */
    json_t *provides; /* {user: {…}}, what it found out for later jobs; owned, NULL: nothing */
    char *message;    /* why it ended so */
    char *note;       /* what else is to be said of a good end; owned, NULL: nothing */
    struct engaged engaged;
};

/* One answered (or unanswered) request. */
struct response {
    int status; /* 0: no answer; of a directory see `ldap` */
    bool ldap;  /* `status` is LDAP's result code: 0 is success, LDAP_NO_ANSWER none */
    bool sent;
    bool aborted;           /* by us, as the worker stops */
    bool throttled;         /* told by classify(): the vendor asks to come back later, and did nothing */
    bool odd;               /* told by classify(): the answer says nothing about what was asked */
    bool unsent;            /* by a dry run, which has no answer to go on with */
    bool tokenless;         /* it was not sent, as there is no token for it; `status` is the token endpoint's */
    bool doubtful;          /* what the request asks for may have happened all the same */
    bool ill;               /* nobody answered, or the vendor itself is in trouble: what its circuit counts */
    bool unreached;         /* nobody answered, as there was no connection: nothing could be sent, by any job */
    bool hopeless;          /* it would go the same way next time: the URL is malformed, the answer passes a limit */
    bool web_page;          /* the body is a web page */
    bool plain;             /* the body is text, and not JSON */
    const char *unreadable; /* why the body can't be read; borrowed from the context, NULL: it can */
    const char *error;
    int64_t retry_after; /* microseconds, -1: the vendor says nothing */
};

static inline bool response_came(const struct response *response)
{
    return response->ldap ? response->status != LDAP_NO_ANSWER : response->status != 0;
}

/* Asked when an error leaves open whether the wanted state is there: is it? */
typedef bool look_fn(struct run *run);

/* Sets the run's message, replacing an earlier one; returns `verdict`. */
enum verdict run_say(struct run *run, enum verdict verdict, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* engine_context.c */
void context_start(struct run *run);
void context_set(struct run *run, const char *name, json_t *value); /* takes over */
void context_forget_answer(struct run *run);
bool context_condition(struct run *run); /* are the conditions met? */
void context_account(struct run *run,
                     const char *id); /* the account in hand, with what its place has saved; NULL: none */
void context_name_account(struct run *run, const char *id); /* `.ids.<system>` alone */

const char *account_in_hand(const struct run *run); /* "": none; borrowed */

/* engine_render.c: a request ready to go; everything owned. On an error what was made so far is in `rendered` all
 * the same. */
struct rendered {
    const char *method;
    char *url;
    struct curl_slist *headers;
    char *body;
    char *user;
    char *password;
    json_t *as;          /* {subject, scopes} of its token; NULL: it needs none */
    char *bearer;        /* the token */
    struct token *token; /* its place */
    uint64_t round;      /* its fetch */
    bool is_mail;
    bool tls; /* of a mail or a directory: demand it */
    struct mail mail;
    bool is_ldap;
    char *server; /* of a directory; `url` says what is asked there, for the record */
    struct ldap_operation ldap;
};

int request_render(struct run *run, const json_t *request, struct rendered *rendered, struct err *err);
void rendered_release(struct rendered *rendered);
/* The base of a request's path: its own, else the connector's. The caller frees. */
char *request_base(struct run *run, const json_t *request, struct err *err);

/* `text` with the value of each `${ }` given to `add`, which escapes it and says whether it can stand there. An empty value never
 * can: it must not become a request about everybody. `place` is for the message. */
int render_escaped(struct run *run, const char *text, bool (*add)(struct buf *out, const char *value),
                   const char *place, struct buf *out, struct err *err);

/* RFC 3986, 2.3: all but unreserved characters as %XX. */
void percent_encode(struct buf *out, const char *text);
/* Adds name=value to a form (application/x-www-form-urlencoded) or a query. */
void form_add(struct buf *form, const char *name, const char *value);
int render_headers(struct run *run, const json_t *map, struct rendered *rendered, bool *content_type, struct err *err);

/* The connector's, as far as the request has none `own` of that name. */
int render_headers_but(struct run *run, const json_t *map, const json_t *own, struct rendered *rendered,
                       bool *content_type, struct err *err);

/* engine_auth.c: what the connector's `auth` and the request's `as` say of it; no token yet. */
int auth_render(struct run *run, const json_t *request, struct rendered *rendered, struct err *err);
/* Gets the token that a rendered request needs, if it needs one. DONE: it has it, or `response` says why not (then it is
 * `tokenless`); DENIED: it was refused; else why the run must rest. */
enum verdict auth_authorize(struct run *run, struct rendered *rendered, struct response *response);
/* The vendor answered 401: does it need a token, and is the one it had out of use now? */
bool auth_renews(struct rendered *rendered);
void auth_release(struct rendered *rendered);

/* engine_protect.c: is rendered->url one of the scheme `clear`, or of `clear` with an "s"? Decides rendered->tls: STARTTLS is
 * demanded but on this host, or as the setting `tls` says. */
int protect(struct run *run, const char *rule, const char *clear, struct rendered *rendered, struct err *err);

/* engine_sign.c: adds the headers of the connector's `auth.signature`, if it has one, to a request that is about to leave:
 * a signature holds the time. DONE or FAILED. */
enum verdict auth_sign(struct run *run, struct rendered *rendered);

/* engine_mail.c: `mail` in place of a method. The log-in was rendered before. */
int mail_render(struct run *run, const json_t *request, struct rendered *rendered, struct err *err);
void mail_exchange(struct run *run, const struct rendered *rendered, int64_t timeout, struct http_answer *answer);
static inline bool request_is_mail(const json_t *request)
{
    return json_object_get(request, "mail") != NULL;
}

/* engine_ldap.c: `ldap` in place of a method. The log-in was rendered before. */
int ldap_render(struct run *run, const json_t *request, struct rendered *rendered, struct err *err);
void ldap_exchange(struct run *run, const struct rendered *rendered, int64_t timeout, struct http_answer *answer);
static inline const json_t *request_ldap(const json_t *request)
{
    return json_object_get(request, "ldap");
}

/* engine_definition.c: what the connector says of a request. */
const char *request_method(const json_t *request,
                           const json_t **path); /* "GET"; `*path` is what stands under the method */
bool request_changes(const json_t *request);     /* does it change anything at the vendor? */
const char *ldap_method(const json_t *ldap);     /* of the request's member `ldap` */

/* engine_request.c: one request with its retries: limits, circuit, sending, classifying, saving. `look` is asked whether
 * the wanted state is there when an error leaves that open (NULL: don't look). */
enum verdict request_run(struct run *run, const json_t *request, look_fn *look);

/* Does the request's `save` with the answer just taken; `verdict`, or FAILED when the answer can't be read. */
enum verdict request_save(struct run *run, const json_t *request, enum verdict verdict);

/* Does this answer leave open whether the wanted state is there, and would the read-back show it? Then `look` is asked; true: it
 * is. */
bool request_look(struct run *run, const json_t *request, const struct response *response, enum verdict verdict,
                  bool again, look_fn *look);

/* After an answer that may be tried again: waits here, or defers the job. */
enum verdict request_wait(struct run *run, const struct response *response);

/* The vendor is down and its circuit open: the try is not counted, the next one waits at the gate. */
bool request_waits_at_gate(const struct run *run, const struct response *response);

/* Sends it once, with limits and circuit, and puts the answer into the context. DONE when there is an answer of any
 * kind or a transport error in `response`; else why it could not be sent. */
enum verdict request_send(struct run *run, const json_t *request, struct response *response);
enum verdict request_send_ungated(struct run *run, const json_t *request, struct response *response); /* for checks */
/* Puts a call that was made on record: among the event's calls, and in the metrics. */
void request_note(struct run *run, const char *method, const char *url, bool changes, const struct http_answer *answer);
/* Makes a call that is complete but for `ca_file`, and puts it on record. */
void request_exchange(struct run *run, struct http_call *call, bool changes, struct http_answer *answer);

/* engine_prepare.c: `.derived` of the action, which the run masks; the before-image, put on record before the first change to the
 * account in hand. */
void derive_values(struct run *run);
enum verdict before_change(struct run *run);

/* engine_escrow.c: reads worker.escrow_key. `*sealed` gets what the action says of `escrow`, sealed, by the account in hand:
 * {<account>: {<name>: text}}, a new reference; NULL when it says nothing. DONE, else why nothing may be changed. */
int escrow_load(struct engine *engine, struct err *err);
enum verdict escrow_seal_values(struct run *run, json_t **sealed);

/* engine_poll.c: DONE: go on. What `require` demands with a read of its own, made right before the request; what it demands of
 * the request's answer; what `poll` waits for. */
enum verdict request_requires_first(struct run *run, const json_t *request);
enum verdict request_requires(struct run *run, const json_t *request);
enum verdict request_polls(struct run *run, const json_t *request);

/* engine_signal.c: waits for a signal. DONE: it came, or its time is over and the action goes on without. */
enum verdict signal_wait(struct run *run, const json_t *request);

/* engine_classify.c: what an answer means; `*again`: it may be tried again. */
enum verdict classify(struct run *run, const json_t *request, struct response *response, bool *again);
bool classify_says(const struct run *run, const json_t *request, const char *name); /* does this predicate hold? */
bool status_is_temporary(int status);               /* does this HTTP status tell of trouble that passes? */
bool words_ask_again(int status, const char *said); /* does a refusal say that it is for now only? */

/* engine_evidence.c: what an answer proves. */
char *evidence_odd(const struct run *run, const json_t *request,
                   const struct response *response); /* why an answer with a good
    status says nothing about what was asked; NULL: it does. The caller frees. */
/* Does the request's predicate `name` (expect, already, missing, success) hold, and because of what the answer says? */
bool evidence_shows(const struct run *run, const json_t *request, const struct response *response, const char *name);
/* The predicate does not hold: is that because of what the answer says? */
bool evidence_shows_not(const struct run *run, const json_t *request, const char *name);
/* Would the predicate hold if the answer's body were this one? Takes over `body`. */
bool evidence_would_hold(const struct run *run, const json_t *predicate, json_t *body);
bool evidence_reads(const json_t *value, const char *name); /* does an expression in it read `.NAME`? */
/* engine_seen.c */
json_t *evidence_seen(const struct run *run,
                      const char *expect); /* the values that it reads, by path; a new reference */
char *evidence_seen_text(const struct run *run, const char *expect); /* the same as text; the caller frees */

/* engine_explain.c: the vendor's words about an error, "" when there are none; the caller frees. Where nothing in the answer is a
 * sentence, `explain` gives the whole answer, and `explain_in_words` nothing. */
char *explain(const struct run *run, const json_t *request);
char *explain_in_words(const struct run *run, const json_t *request);
char *explain_body(const json_t *body);

/* engine_secret.c: what a job may know only while it runs: what is derived, and what the request calls `secret` of what it just saved
 * (`secrets_keep`). It is masked in this run's texts and in no other's. */
void secrets_add(struct run *run, const char *text);
void secrets_keep(struct run *run, const json_t *request);
void secrets_release(struct run *run);

/* `text` as it may be said: this run's secrets and the process's are masked. NULL gives NULL; the caller frees. */
char *run_mask(const struct run *run, const char *text);
/* The same for all texts within a value; a new reference. Facts are what later jobs work with (outputs, state): there nothing is
 * masked that may only look like a secret (lib/secret.h). */
json_t *run_masked(const struct run *run, const json_t *value);
json_t *run_masked_facts(const struct run *run, const json_t *value);

/* engine_trace.c: keeps the call for the result's `trace`, when the engine traces; `answer` NULL: a dry run didn't send it. */
void trace_call(struct run *run, const struct http_call *call, bool changes, const struct http_answer *answer);
void trace_rendered(struct run *run, const struct rendered *rendered, bool changes, const struct http_answer *answer);

/* engine_provide.c: run->provides from what the action provides among its outputs; FAILED when it can't be used. */
enum verdict run_provide(struct run *run, const json_t *outputs);

/* engine_defer.c */
enum verdict run_wait_or_defer(struct run *run, int64_t retry_after); /* DONE: try again now */
enum verdict run_defer(struct run *run, int64_t wait, bool scaled, const char *why);
/* After trouble: deferred by `wait`, with the trouble as message; failed when it has lasted three (scaled) days. */
enum verdict run_put_off(struct run *run, int64_t wait, bool scaled);
enum verdict run_interrupted(struct run *run); /* DONE: go on */
enum verdict run_say_cancelled(struct run *run);
/* Says what is under way from now on ("requests/2"), for the account in hand. Trouble is timed for each such name by itself: what
 * works for one request does not end the trouble of another. */
void trouble_at(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
void trouble_over(struct run *run); /* the vendor gave a good answer there */

/* engine_state.c: what an attempt hands on to the next one (schema/messages.md, `state`). */
json_t *run_state(const struct run *run, enum verdict verdict); /* new reference */
/* The places of the accounts. A place that was written for other requests is begun anew: as after a crash, requests are repeated,
 * and what must happen once is looked for. */
void run_resume(struct run *run, const json_t *state);
void run_resume_clocks(struct run *run, const json_t *state); /* what is needed before the accounts are known */
/* A short text that is the same for the same definition: a state says by it what its positions are about. The caller frees. */
char *state_mark(const json_t *definition);
const char *run_account_name(const struct run *run, size_t index); /* "" for an action on no account */

/* engine.c: a run before its first call; `record` is the caller's. Release with run_release(). */
void run_init(struct run *run, struct system *system, struct job *job, struct record *record);
void run_release(struct run *run);

/* A verdict as the outcome that it makes. */
const char *verdict_name(enum verdict verdict);
enum verdict verdict_of_name(const char *name); /* FAILED for a name that is none */

/* engine_check.c: the connector's `check` (else a GET of its base), without gate, on a fiber: what its answer means, with an err
 * unless it was a success. `*ill` as of a response. */
enum verdict gate_check(struct system *system, bool *ill, struct err *err);

/* engine_gate.c: limits and circuit. DONE when the call may be made. */
enum verdict gate_enter(struct run *run, const char *limit, struct named_limit **taken);
void gate_leave(struct system *system, struct named_limit *taken);
/* `offboarding`: whose call it was. One offboarding's calls alone open the circuit only when nobody can be reached. */
void gate_result(struct system *system, const struct response *response, const char *offboarding);
void gate_stop(struct system *system); /* ends the prober; call, then let the loop run */

/* engine_identify.c: `*accounts` gets a new reference to a list of ids, or to [null] when the action needs none. */
enum verdict identify_accounts(struct run *run, json_t **accounts);

bool identify_is_leaver(const struct run *run, const char *address); /* is it one of the leaver's addresses? */

/* engine_guard.c: DONE, else why nobody may act: on the person, as a step may have found out by now, or on the account. */
enum verdict guard_person(struct run *run);
enum verdict guard_account(struct run *run, const char *account);
const char *guard_protected(const struct run *run,
                            const json_t *names); /* the first protected one of a text or a list; NULL: none */
bool guard_takes_away(const struct run *run);     /* does the action take something from somebody? */

/* The manager's accounts in this system, so that nobody acts on them by mistake; a new reference to an empty list
 * when no manager is known, or the action changes nobody's account. */
enum verdict identify_manager(struct run *run, json_t **accounts);

/* engine_accounts.c: the work on all of them, each from where its place says. */
enum verdict accounts_run(struct run *run, json_t *outputs);

/* engine_sequence.c: the requests of the account in hand, from where its place says. */
enum verdict sequence_run(struct run *run, const json_t *requests, look_fn *look);
enum verdict sequence_one(struct run *run, const json_t *request, look_fn *look);
enum verdict sequence_pages(struct run *run, const json_t *request, look_fn *look); /* from the place's page on */
void sequence_pass(struct run *run);                                                /* to the next request */
void sequence_clear_saved(struct run *run, const json_t *request); /* what it saves is an empty list from now on */

/* engine_items.c: a request with `for_each`. */
enum verdict items_run(struct run *run, const json_t *request);

/* engine_pages.c: the request for the page after the one in the context. `*next` is NULL after the last page; else a
 * new reference. What the vendor said of the next page stands in its member `page` ({link} or {query, json}), as
 * values: an answer is never read as an expression. */
enum verdict pages_next(struct run *run, const json_t *request, json_t **next);

/* engine_ahead.c: of a page that was just answered. */
bool pages_later(const json_t *request); /* is it for another page than the first? */
/* Before the answer in the context is saved: will the connector ask for another page? */
bool pages_go_on(const struct run *run, const json_t *request);
/* The predicate says that a page lists nothing. Does that hold of the whole list: was there nothing on the pages before, and is it the
 * last one? Of a predicate that looks for that itself it does. */
bool pages_decide(const struct run *run, const json_t *request, const json_t *predicate);
enum { PAGES_MAX = 1000 };

/* engine_once.c: a request marked by `find`. */
enum verdict once_run(struct run *run, const json_t *request, look_fn *look);

/* engine_verify.c */
enum verdict verify_run(struct run *run);
bool verify_look(struct run *run);                                /* one look: is the wanted state there? */
bool verify_covers(const struct run *run, const json_t *request); /* would the read-back show what this request does? */

/* engine_context.c: value of a template, a new reference; in a dry run the name stands in for what is missing.
 * NULL with an err. */
json_t *context_value(struct run *run, const char *name, const json_t *tmpl, struct err *err);

/* What stands in a dry run for a value that only a change would bring; a new reference. */
#define STAND_IN         "dry-run:"
#define STAND_IN_ENCODED "dry-run%3A"
json_t *context_stand_in(const char *name);
/* As expr_render() and expr_text() with the run's context; what fails for an answer that a dry run has not got is a stand-in. */
json_t *context_render(struct run *run, const json_t *tmpl, struct err *err);
char *context_text(struct run *run, const char *tmpl, struct err *err);
bool context_is_stand_in(const json_t *value);             /* is it one? */
bool context_holds_stand_in(const json_t *value);          /* is one within it? */
bool context_guesses(struct run *run, const json_t *tmpl); /* does it read what only an unsent request would bring? */

/* Renders `save` of a request into `.saved`; lists are joined when `collect`. */
int save_values(struct run *run, const json_t *save, bool collect, struct err *err);

/* Adds a value to the list of those that pages or items have brought; null adds nothing. Takes over `value`. */
void collect_value(json_t *saved, const char *name, json_t *value);

double engine_random(void); /* uniform in [0, 1) */

#endif
