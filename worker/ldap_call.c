#include "worker/ldap_call.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "worker/ldap_connect.h"
#include "worker/ldap_text.h"

/* libldap does not say whether a part of a request has still to be written: it is asked again after this time. */
enum { LOOK_AGAIN_US = 250000, PAGE_SIZE = 500, ENTRIES_MAX = 20000, FOUND_BYTES_MAX = 16 * 1024 * 1024 };

/* After so many messages the loop gets a turn: a server that never pauses holds up nobody else, and meets the deadline. */
enum { TURN = 50 };

/* One call. */
struct dialogue {
    struct await await;
    const struct ldap_call *call;
    LDAP *ld;
    struct ldap_outcome outcome;
    json_t *found;   /* entries of a search */
    size_t bytes;    /* of their names and values */
    size_t parts;    /* entries, and what else came before the end of a search */
    char *elsewhere; /* a part of the directory that is on another server; NULL: none was named */
    bool partial;    /* the server gave only a part of some attribute's values */
    bool sent;       /* a change may have reached the server */
    bool no_tls;     /* the server has no StartTLS */
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
    json_decref(operation->without);
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

/* One message of the answer to message `id`; NULL with the outcome. The caller frees it with ldap_msgfree(). */
static LDAPMessage *await_message(struct dialogue *dialogue, int id)
{
    struct timeval at_once = {0, 0};
    LDAPMessage *message = NULL;
    int fd = -1, got;
    ldap_get_option(dialogue->ld, LDAP_OPT_DESC, &fd);
    errno = 0;
    while ((got = ldap_result(dialogue->ld, id, LDAP_MSG_ONE, &at_once, &message)) == 0) {
        enum await_outcome waited = await_socket(&dialogue->await, fd, UV_READABLE, LOOK_AGAIN_US);
        if (waited != AWAIT_READY) {
            ldap_outcome_give_up(&dialogue->outcome, waited);
            return NULL;
        }
    }
    if (got < 0 && errno == ERANGE) {
        ldap_outcome_lose(&dialogue->outcome, LDAP_DECODING_ERROR, HTTP_FAULT_ANSWER,
                          mem_strdup("the answer is larger than 16 MiB"));
    } else if (got < 0) {
        int code = LDAP_SERVER_DOWN;
        ldap_get_option(dialogue->ld, LDAP_OPT_RESULT_CODE, &code);
        ldap_outcome_take(&dialogue->outcome, dialogue->ld, code < 0 ? code : LDAP_SERVER_DOWN);
    }
    return message;
}

/* The code of a result, with what the server says beside it; `controls` (NULL: not wanted) as ldap_parse_result() gives them. */
static bool take_result(struct dialogue *dialogue, LDAPMessage *message, LDAPControl ***controls)
{
    int code = LDAP_DECODING_ERROR;
    char *text = NULL;
    int parsed = ldap_parse_result(dialogue->ld, message, &code, NULL, &text, NULL, controls, 0);
    code = parsed == LDAP_SUCCESS ? code : parsed;
    const char *name = ldap_err2string(code);
    ldap_outcome_lose(&dialogue->outcome, code, code < 0 ? HTTP_FAULT_ANSWER : HTTP_FAULT_NONE,
                      text && *text ? mem_printf("%s: %s", name, text) : mem_strdup(name));
    ldap_memfree(text);
    return code == LDAP_SUCCESS;
}

/* `queued` is what libldap said when the request was given to it. */
static bool finish(struct dialogue *dialogue, int queued, int id)
{
    if (queued != LDAP_SUCCESS) {
        ldap_outcome_take(&dialogue->outcome, dialogue->ld, queued);
        return false;
    }
    LDAPMessage *message = await_message(dialogue, id);
    bool good = message && take_result(dialogue, message, NULL);
    ldap_msgfree(message);
    return good;
}

static bool start_tls(struct dialogue *dialogue)
{
    int id = 0;
    int queued = ldap_start_tls(dialogue->ld, NULL, NULL, &id);
    bool agreed = finish(dialogue, queued, id);
    dialogue->no_tls = !agreed && dialogue->outcome.code > 0;
    return agreed;
}

/* TLS, if it has to be. */
static bool protect(struct dialogue *dialogue)
{
    const struct ldap_call *call = dialogue->call;
    bool from_the_start = strncasecmp(call->url, "ldaps:", strlen("ldaps:")) == 0;
    if (from_the_start || (call->tls && start_tls(dialogue))) {
        return ldap_secure(&dialogue->await, &dialogue->ld, call->ca_file, &dialogue->outcome);
    }
    return !call->tls;
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
            dialogue->bytes += values[i]->bv_len;
        }
        dialogue->bytes += strlen(name);
        dialogue->partial = dialogue->partial || ldap_name_partial(name);
        json_object_set_new(attributes, ldap_name_wanted(name, operation->attributes), list);
        ldap_value_free_len(values);
        ldap_memfree(name);
    }
    ber_free(at, 0);
    return attributes;
}

static void read_entry(struct dialogue *dialogue, LDAPMessage *entry)
{
    char *dn = ldap_get_dn(dialogue->ld, entry);
    char *rdn, *parent;
    ldap_dn_split(dn ? dn : "", &rdn, &parent);
    json_array_append_new(dialogue->found, json_pack("{s:s, s:s, s:s, s:o}", "dn", dn ? dn : "", "rdn", rdn, "parent",
                                                     parent, "attributes", read_attributes(dialogue, entry)));
    dialogue->bytes += dn ? strlen(dn) : 0;
    free(rdn);
    free(parent);
    ldap_memfree(dn);
}

/* The name of a part of the directory that other servers hold, as the first of their URLs says it; else the URL. The caller frees. */
static char *part_named(char **urls)
{
    LDAPURLDesc *parts = NULL;
    bool named = ldap_url_parse(urls[0], &parts) == LDAP_URL_SUCCESS && parts->lud_dn && *parts->lud_dn;
    char *name = mem_strdup(named ? parts->lud_dn : urls[0]);
    ldap_free_urldesc(parts);
    return name;
}

/* Need this part not be searched? */
static bool is_left_out(const json_t *without, const char *name)
{
    char *rdn, *parent;
    ldap_dn_split(name, &rdn, &parent);
    bool left_out = is_listed(without, rdn) || is_listed(without, name);
    free(rdn);
    free(parent);
    return left_out;
}

static void read_reference(struct dialogue *dialogue, LDAPMessage *reference)
{
    char **urls = NULL;
    ldap_parse_reference(dialogue->ld, reference, &urls, NULL, 0);
    char *name = urls && urls[0] ? part_named(urls) : mem_strdup("a part of the directory");
    if (dialogue->elsewhere || is_left_out(dialogue->call->operation->without, name)) {
        free(name);
    } else {
        dialogue->elsewhere = name;
    }
    ldap_memvfree((void **)urls);
}

/* More entries, or bytes, than are taken? */
static bool is_too_much(const struct dialogue *dialogue)
{
    return dialogue->parts > ENTRIES_MAX || dialogue->bytes > FOUND_BYTES_MAX;
}

/* Gives the loop a turn now and then. False with the outcome. */
static bool pause_for_others(struct dialogue *dialogue)
{
    int fd = -1;
    ldap_get_option(dialogue->ld, LDAP_OPT_DESC, &fd);
    enum await_outcome waited =
        dialogue->parts % TURN ? AWAIT_READY : await_socket(&dialogue->await, fd, UV_READABLE, 1);
    if (waited != AWAIT_READY) {
        ldap_outcome_give_up(&dialogue->outcome, waited);
    }
    return waited == AWAIT_READY;
}

/* Takes what a search brings, until its result, which the caller frees. NULL with the outcome, and when it is too much. */
static LDAPMessage *read_parts(struct dialogue *dialogue, int id)
{
    LDAPMessage *message;
    while ((message = await_message(dialogue, id)) && ldap_msgtype(message) != LDAP_RES_SEARCH_RESULT) {
        dialogue->parts++;
        if (ldap_msgtype(message) == LDAP_RES_SEARCH_ENTRY) {
            read_entry(dialogue, message);
        } else if (ldap_msgtype(message) == LDAP_RES_SEARCH_REFERENCE) {
            read_reference(dialogue, message);
        }
        ldap_msgfree(message);
        if (is_too_much(dialogue) || !pause_for_others(dialogue)) {
            return NULL;
        }
    }
    return message;
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
        ldap_outcome_take(&dialogue->outcome, dialogue->ld, queued);
        return false;
    }
    LDAPMessage *message = read_parts(dialogue, id);
    bool good = message && take_result(dialogue, message, &answered);
    if (good) {
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
    } while (good && cookie && !is_too_much(dialogue));
    ber_bvfree(cookie);
    free(names);
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static int send_change(LDAP *ld, const struct ldap_operation *operation, int *id)
{
    switch (operation->kind) {
    case LDAP_OP_MODIFY:
        return ldap_modify_ext(ld, operation->dn, operation->changes, NULL, NULL, id);
    case LDAP_OP_DELETE:
        return ldap_delete_ext(ld, operation->dn, NULL, NULL, id);
    default:
        return ldap_rename(ld, operation->dn, operation->newrdn, operation->newsuperior, 1, NULL, NULL, id);
    }
}

static void operate(struct dialogue *dialogue)
{
    const struct ldap_operation *operation = dialogue->call->operation;
    int id = 0;
    if (operation->kind == LDAP_OP_SEARCH) {
        search(dialogue);
        return;
    }
    dialogue->sent = true;
    int queued = send_change(dialogue->ld, operation, &id);
    finish(dialogue, queued, id);
}

/* Part of a list is worse than none: what it lacks would be taken for not there. */
static void refuse_parts(struct dialogue *dialogue)
{
    if (dialogue->outcome.code != LDAP_SUCCESS) {
        return;
    }
    if (dialogue->elsewhere) {
        ldap_outcome_lose(&dialogue->outcome, LDAP_REFERRAL, HTTP_FAULT_NONE,
                          mem_printf("%s lies on another server and was not searched", dialogue->elsewhere));
    } else if (dialogue->partial || is_too_much(dialogue)) {
        ldap_outcome_lose(&dialogue->outcome, LDAP_ADMINLIMIT_EXCEEDED, HTTP_FAULT_NONE,
                          dialogue->partial ? mem_strdup("the server gave only a part of an attribute's values")
                                            : mem_printf("more than %d entries, or %d MiB", ENTRIES_MAX,
                                                         FOUND_BYTES_MAX / 1024 / 1024));
    }
}

/* What libldap itself refuses to send, it will refuse again. */
static void refuse_nonsense(struct dialogue *dialogue)
{
    int code = dialogue->outcome.code;
    if (dialogue->ld && (code == LDAP_FILTER_ERROR || code == LDAP_PARAM_ERROR || code == LDAP_ENCODING_ERROR)) {
        dialogue->outcome.code = LDAP_PROTOCOL_ERROR;
        dialogue->outcome.fault = HTTP_FAULT_NONE;
        dialogue->sent = false;
    }
}

/* A server without StartTLS has answered, but not what was asked: the setting is to blame. */
static void refuse_the_clear(struct dialogue *dialogue)
{
    if (dialogue->no_tls) {
        char *said = mem_strdup(dialogue->outcome.message);
        ldap_outcome_lose(
            &dialogue->outcome, LDAP_NO_ANSWER, HTTP_FAULT_ADDRESS,
            mem_printf("the server does no StartTLS (%s): use ldaps:, or set `tls: off` only where all may be read",
                       said));
        free(said);
    }
}

static void take_answer(struct dialogue *dialogue, struct http_answer *answer)
{
    const struct ldap_outcome *outcome = &dialogue->outcome;
    refuse_parts(dialogue);
    refuse_nonsense(dialogue);
    refuse_the_clear(dialogue);
    answer->sent = dialogue->sent;
    answer->aborted = outcome->aborted;
    answer->fault = outcome->fault;
    if (outcome->fault) {
        answer->status = LDAP_NO_ANSWER;
        answer->error = mem_strdup(outcome->message);
        return;
    }
    answer->status = outcome->code;
    json_t *body =
        outcome->code == LDAP_SUCCESS ? json_incref(dialogue->found) : json_pack("{s:s*}", "message", outcome->message);
    if (body) {
        char *text = json_text(body);
        buf_adds(&answer->body, text);
        free(text);
        json_decref(body);
    }
}

static void talk(struct dialogue *dialogue, uv_loop_t *loop, int64_t deadline, struct flight **flight)
{
    await_begin(&dialogue->await, loop, deadline);
    *flight = &dialogue->await.flight;
    if (protect(dialogue) && (!dialogue->call->user || log_in(dialogue))) {
        operate(dialogue);
    }
    *flight = NULL;
    await_end(&dialogue->await); /* before the descriptor is closed */
}

void ldap_perform(struct http *http, const struct ldap_call *call, struct flight **flight, struct http_answer *answer)
{
    *answer = (struct http_answer){.headers = json_object()};
    int64_t begin = time_monotonic();
    struct dialogue dialogue = {.call = call};
    dialogue.ld = ldap_reach(http, call->url, call->timeout, flight, &dialogue.outcome);
    if (dialogue.ld) {
        talk(&dialogue, multi_loop(http_multi(http)), begin + call->timeout, flight);
    }
    answer->duration = time_monotonic() - begin;
    take_answer(&dialogue, answer);
    if (dialogue.ld) {
        ldap_unbind_ext(dialogue.ld, NULL, NULL);
    }
    free(dialogue.outcome.message);
    free(dialogue.elsewhere);
    json_decref(dialogue.found);
}
