#include "worker/ldap_call.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "worker/fiber.h"
#include "worker/ldap_text.h"

#define SYSTEM_CA_FILE "/etc/ssl/certs/ca-certificates.crt" /* libldap knows none by itself */

enum { CONNECT_SECONDS = 10, LOOK_AT_STOP_US = 250000, PAGE_SIZE = 500, ENTRIES_MAX = 20000 };

/* One call. Until `done` it belongs to the thread, but for `stop`. */
struct dialogue {
    struct flight flight; /* first: http_abort() knows no more */
    atomic_bool stop;
    uv_work_t work;
    struct fiber *fiber;
    bool done;
    const struct ldap_call *call;
    LDAP *ld;
    int64_t deadline;
    int code;       /* LDAP's; negative: libldap's own, nobody answered */
    char *message;  /* what the server or libldap says of it */
    json_t *found;  /* entries of a search */
    bool partial;   /* the server gave only a part of some attribute's values */
    bool heard;     /* the server answered something */
    bool sent;      /* a change may have reached the server */
    bool no_tls;    /* the server has no StartTLS */
    bool truncated; /* more entries than are taken */
};

void ldap_operation_release(struct ldap_operation *operation)
{
    for (size_t i = 0; operation->changes && operation->changes[i]; i++) {
        ldap_values_free(operation->changes[i]->mod_bvalues);
        free(operation->changes[i]->mod_type);
        free(operation->changes[i]);
    }
    free(operation->changes);
    free(operation->dn);
    free(operation->filter);
    free(operation->newrdn);
    free(operation->newsuperior);
    json_decref(operation->attributes);
    json_decref(operation->hex);
}

/* ---- on the thread ----------------------------------------------------------------------------------------------- */

static void take_diagnosis(struct dialogue *dialogue, int code)
{
    char *text = NULL;
    ldap_get_option(dialogue->ld, LDAP_OPT_DIAGNOSTIC_MESSAGE, &text);
    free(dialogue->message);
    dialogue->code = code;
    dialogue->message =
        text && *text ? mem_printf("%s: %s", ldap_err2string(code), text) : mem_strdup(ldap_err2string(code));
    ldap_memfree(text);
}

/* The answer to message `id`; NULL: none came, and the code says why. The caller frees it with ldap_msgfree(). */
static LDAPMessage *await(struct dialogue *dialogue, int id)
{
    LDAPMessage *message = NULL;
    while (!atomic_load(&dialogue->stop)) {
        struct timeval look = {0, LOOK_AT_STOP_US};
        int got = ldap_result(dialogue->ld, id, LDAP_MSG_ALL, &look, &message);
        if (got > 0) {
            dialogue->heard = true;
            return message;
        }
        if (got < 0) {
            int code = LDAP_SERVER_DOWN;
            ldap_get_option(dialogue->ld, LDAP_OPT_RESULT_CODE, &code);
            take_diagnosis(dialogue, code < 0 ? code : LDAP_SERVER_DOWN);
            return NULL;
        }
        if (time_monotonic() > dialogue->deadline) {
            take_diagnosis(dialogue, LDAP_TIMEOUT);
            return NULL;
        }
    }
    dialogue->code = LDAP_USER_CANCELLED;
    return NULL;
}

/* The code of a result, with what the server says beside it; `controls` (NULL: not wanted) as ldap_parse_result() gives them. */
static bool take_result(struct dialogue *dialogue, LDAPMessage *message, LDAPControl ***controls)
{
    int code = LDAP_DECODING_ERROR;
    char *text = NULL;
    int parsed = ldap_parse_result(dialogue->ld, message, &code, NULL, &text, NULL, controls, 0);
    free(dialogue->message);
    dialogue->code = parsed == LDAP_SUCCESS ? code : parsed;
    dialogue->message = text && *text ? mem_printf("%s: %s", ldap_err2string(dialogue->code), text)
                                      : mem_strdup(ldap_err2string(dialogue->code));
    ldap_memfree(text);
    return dialogue->code == LDAP_SUCCESS;
}

/* `queued` is what libldap said when the request was given to it. */
static bool finish(struct dialogue *dialogue, int queued, int id)
{
    if (queued != LDAP_SUCCESS) {
        take_diagnosis(dialogue, queued);
        return false;
    }
    LDAPMessage *message = await(dialogue, id);
    bool good = message && take_result(dialogue, message, NULL);
    ldap_msgfree(message);
    return good;
}

static void set_time_to_connect(LDAP *ld, int64_t timeout)
{
    int64_t limit = timeout < CONNECT_SECONDS * TIME_SECOND ? timeout : CONNECT_SECONDS * TIME_SECOND;
    struct timeval time = {limit / TIME_SECOND, limit % TIME_SECOND};
    ldap_set_option(ld, LDAP_OPT_NETWORK_TIMEOUT, &time);
}

static void set_up(LDAP *ld, const struct ldap_call *call)
{
    int version = LDAP_VERSION3, demand = LDAP_OPT_X_TLS_DEMAND, client = 0;
    ldap_set_option(ld, LDAP_OPT_PROTOCOL_VERSION, &version);
    ldap_set_option(ld, LDAP_OPT_REFERRALS, LDAP_OPT_OFF);
    ldap_set_option(ld, LDAP_OPT_X_TLS_REQUIRE_CERT, &demand); /* whatever the host's ldap.conf says */
    ldap_set_option(ld, LDAP_OPT_X_TLS_CACERTFILE, call->ca_file ? call->ca_file : SYSTEM_CA_FILE);
    ldap_set_option(ld, LDAP_OPT_X_TLS_NEWCTX, &client);
    set_time_to_connect(ld, call->timeout);
}

static bool start_tls(struct dialogue *dialogue)
{
    int id = 0;
    int queued = ldap_start_tls(dialogue->ld, NULL, NULL, &id);
    if (!finish(dialogue, queued, id)) {
        dialogue->no_tls = dialogue->code > 0;
        return false;
    }
    int code = ldap_install_tls(dialogue->ld);
    if (code != LDAP_SUCCESS) {
        take_diagnosis(dialogue, code);
    }
    return code == LDAP_SUCCESS;
}

static bool log_in(struct dialogue *dialogue)
{
    const struct ldap_call *call = dialogue->call;
    struct berval password = {strlen(call->password), (char *)(uintptr_t)call->password};
    int id = 0;
    int queued = ldap_sasl_bind(dialogue->ld, call->user, LDAP_SASL_SIMPLE, &password, NULL, NULL, &id);
    return finish(dialogue, queued, id);
}

/* ---- a search ---------------------------------------------------------------------------------------------------- */

static bool is_listed(const json_t *list, const char *name)
{
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one)
    {
        if (json_is_string(one) && strcasecmp(json_string_value(one), name) == 0) {
            return true;
        }
    }
    return false;
}

static json_t *read_attributes(struct dialogue *dialogue, LDAPMessage *entry)
{
    const struct ldap_operation *operation = dialogue->call->operation;
    json_t *attributes = json_object();
    BerElement *at = NULL;
    for (char *name = ldap_first_attribute(dialogue->ld, entry, &at); name;
         name = ldap_next_attribute(dialogue->ld, entry, at)) {
        struct berval **values = ldap_get_values_len(dialogue->ld, entry, name);
        json_t *list = json_array();
        for (size_t i = 0; values && values[i]; i++) {
            json_array_append_new(list, ldap_value_read(values[i], is_listed(operation->hex, name)));
        }
        dialogue->partial = dialogue->partial || ldap_name_partial(name);
        json_object_set_new(attributes, ldap_name_wanted(name, operation->attributes), list);
        ldap_value_free_len(values);
        ldap_memfree(name);
    }
    ber_free(at, 0);
    return attributes;
}

static void read_entries(struct dialogue *dialogue, LDAPMessage *answer)
{
    for (LDAPMessage *entry = ldap_first_entry(dialogue->ld, answer); entry;
         entry = ldap_next_entry(dialogue->ld, entry)) {
        char *dn = ldap_get_dn(dialogue->ld, entry);
        char *rdn, *parent;
        ldap_dn_split(dn ? dn : "", &rdn, &parent);
        json_array_append_new(dialogue->found,
                              json_pack("{s:s, s:s, s:s, s:o}", "dn", dn ? dn : "", "rdn", rdn, "parent", parent,
                                        "attributes", read_attributes(dialogue, entry)));
        free(rdn);
        free(parent);
        ldap_memfree(dn);
    }
}

/* The names as libldap wants them; the caller frees the array. */
static char **names_of(const json_t *attributes)
{
    size_t count = json_array_size(attributes);
    char **names = count ? mem_alloc((count + 1) * sizeof(char *)) : NULL;
    for (size_t i = 0; i < count; i++) {
        names[i] = (char *)(uintptr_t)json_string_value(json_array_get(attributes, i));
    }
    return names;
}

/* One page (RFC 2696): servers give no more than a thousand at once. `*cookie` is what the next page is asked with. */
static bool search_page(struct dialogue *dialogue, char **names, struct berval **cookie)
{
    const struct ldap_operation *operation = dialogue->call->operation;
    LDAPControl *page = NULL, **answered = NULL;
    int id = 0;
    if (operation->scope != LDAP_SCOPE_BASE) {
        ldap_create_page_control(dialogue->ld, PAGE_SIZE, *cookie, 0, &page);
    }
    LDAPControl *controls[] = {page, NULL};
    int queued = ldap_search_ext(dialogue->ld, operation->dn, operation->scope, operation->filter, names, 0, controls,
                                 NULL, NULL, 0, &id);
    ldap_control_free(page);
    ber_bvfree(*cookie);
    *cookie = NULL;
    if (queued != LDAP_SUCCESS) {
        take_diagnosis(dialogue, queued);
        return false;
    }
    LDAPMessage *message = await(dialogue, id);
    bool good = message && take_result(dialogue, message, &answered);
    if (good) {
        read_entries(dialogue, message);
        LDAPControl *next = ldap_control_find(LDAP_CONTROL_PAGEDRESULTS, answered, NULL);
        ber_int_t estimate;
        struct berval found = {0, NULL};
        if (next && ldap_parse_pageresponse_control(dialogue->ld, next, &estimate, &found) == LDAP_SUCCESS) {
            *cookie = found.bv_len ? ber_bvdup(&found) : NULL;
            ber_memfree(found.bv_val);
        }
    }
    ldap_controls_free(answered);
    ldap_msgfree(message);
    return good;
}

static void search(struct dialogue *dialogue)
{
    char **names = names_of(dialogue->call->operation->attributes);
    struct berval *cookie = NULL;
    bool good;
    dialogue->found = json_array();
    do {
        good = search_page(dialogue, names, &cookie);
        dialogue->truncated = json_array_size(dialogue->found) > ENTRIES_MAX;
    } while (good && cookie && !dialogue->truncated);
    ber_bvfree(cookie);
    free(names);
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static void operate(struct dialogue *dialogue)
{
    const struct ldap_operation *operation = dialogue->call->operation;
    int id = 0;
    if (operation->kind == LDAP_OP_SEARCH) {
        search(dialogue);
        return;
    }
    dialogue->sent = true;
    int queued =
        operation->kind == LDAP_OP_MODIFY
            ? ldap_modify_ext(dialogue->ld, operation->dn, operation->changes, NULL, NULL, &id)
            : ldap_rename(dialogue->ld, operation->dn, operation->newrdn, operation->newsuperior, 1, NULL, NULL, &id);
    finish(dialogue, queued, id);
}

static void run(uv_work_t *work)
{
    struct dialogue *dialogue = work->data;
    const struct ldap_call *call = dialogue->call;
    int code = atomic_load(&dialogue->stop) ? LDAP_USER_CANCELLED : ldap_initialize(&dialogue->ld, call->url);
    if (code != LDAP_SUCCESS) {
        dialogue->code = code;
        return;
    }
    set_up(dialogue->ld, call);
    if ((!call->tls || start_tls(dialogue)) && (!call->user || log_in(dialogue))) {
        operate(dialogue);
    }
    ldap_unbind_ext(dialogue->ld, NULL, NULL); /* here: it may wait */
}

/* ---- on the loop ------------------------------------------------------------------------------------------------- */

static void after(uv_work_t *work, int status)
{
    (void)status; /* nobody cancels it */
    struct dialogue *dialogue = work->data;
    dialogue->done = true;
    fiber_resume(dialogue->fiber);
}

static void stop(struct flight *flight)
{
    atomic_store(&((struct dialogue *)flight)->stop, true);
}

/* Part of a list is worse than none: what it lacks would be taken for not there. */
static void refuse_parts(struct dialogue *dialogue)
{
    if (dialogue->code == LDAP_SUCCESS && (dialogue->partial || dialogue->truncated)) {
        free(dialogue->message);
        dialogue->code = LDAP_ADMINLIMIT_EXCEEDED;
        dialogue->message = dialogue->partial ? mem_strdup("the server gave only a part of an attribute's values")
                                              : mem_printf("more than %d entries", ENTRIES_MAX);
    }
}

/* What libldap itself refuses to send, it will refuse again. */
static void refuse_nonsense(struct dialogue *dialogue)
{
    if (dialogue->code == LDAP_FILTER_ERROR || dialogue->code == LDAP_PARAM_ERROR ||
        dialogue->code == LDAP_ENCODING_ERROR) {
        dialogue->code = LDAP_PROTOCOL_ERROR;
        dialogue->sent = false;
    }
}

/* Why nobody answered; the caller frees. */
static char *lost_text(const struct dialogue *dialogue)
{
    if (dialogue->no_tls) {
        return mem_printf("the server does no StartTLS (%s): use ldaps:, or set `tls: off` only where all may be read",
                          dialogue->message);
    }
    if (dialogue->code == LDAP_USER_CANCELLED) {
        return mem_strdup("the worker stops before it came");
    }
    return mem_strdup(dialogue->message ? dialogue->message : ldap_err2string(dialogue->code));
}

static void take_answer(struct dialogue *dialogue, struct http_answer *answer)
{
    refuse_parts(dialogue);
    refuse_nonsense(dialogue);
    answer->sent = dialogue->sent;
    answer->aborted = dialogue->code == LDAP_USER_CANCELLED;
    bool unreached = dialogue->no_tls || dialogue->code == LDAP_CONNECT_ERROR ||
                     (dialogue->code == LDAP_SERVER_DOWN && !dialogue->heard);
    if (dialogue->code < 0 || dialogue->no_tls) {
        answer->status = LDAP_NO_ANSWER;
        answer->fault = unreached ? HTTP_FAULT_ADDRESS : HTTP_FAULT_AWAY;
        answer->error = lost_text(dialogue);
        return;
    }
    answer->status = dialogue->code;
    json_t *body = dialogue->code == LDAP_SUCCESS ? json_incref(dialogue->found)
                                                  : json_pack("{s:s*}", "message", dialogue->message);
    if (body) {
        char *text = json_text(body);
        buf_adds(&answer->body, text);
        free(text);
        json_decref(body);
    }
}

/* libldap reads its configuration on first use, and threads would race for that. */
static void warm_up(void)
{
    int version = LDAP_VERSION3;
    ldap_set_option(NULL, LDAP_OPT_PROTOCOL_VERSION, &version);
}

void ldap_perform(uv_loop_t *loop, const struct ldap_call *call, struct flight **flight, struct http_answer *answer)
{
    static uv_once_t once = UV_ONCE_INIT;
    uv_once(&once, warm_up);
    *answer = (struct http_answer){.headers = json_object()};
    int64_t begin = time_monotonic();
    struct dialogue dialogue = {
        .flight = {stop}, .fiber = fiber_self(), .call = call, .deadline = begin + call->timeout};
    dialogue.work.data = &dialogue;
    *flight = &dialogue.flight;
    uv_queue_work(loop, &dialogue.work, run, after);
    while (!dialogue.done) {
        fiber_wait();
    }
    *flight = NULL;
    answer->duration = time_monotonic() - begin;
    take_answer(&dialogue, answer);
    free(dialogue.message);
    json_decref(dialogue.found);
}
