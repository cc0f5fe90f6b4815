/* A request to a directory: what is asked, and what its result codes mean. */
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "worker/engine_internal.h"

/* ---- names and filters ------------------------------------------------------------------------------------------- */

static bool add_escaped(struct buf *out, const char *value)
{
    ldap_dn_escape(out, value);
    return true;
}

static bool add_to_filter(struct buf *out, const char *value)
{
    ldap_filter_escape(out, value);
    return true;
}

/* A name that is one expression is a whole name, which somebody read or configured; within a longer text a value is escaped. */
static char *render_dn(struct run *run, const char *text, struct err *err)
{
    if (strncmp(text, "${", 2) == 0 && !*expr_end(text)) {
        char *whole = expr_text(run->engine->exprs, text, run->context, err);
        if (whole && !*whole) {
            err_set(err, ERR_PERMANENT, "%s is empty: that is no name", text);
            free(whole);
            whole = NULL;
        }
        return whole;
    }
    struct buf out = BUF_INIT;
    if (render_escaped(run, text, add_escaped, "a name", &out, err) != 0) {
        buf_release(&out);
        return NULL;
    }
    return out.len ? buf_take(&out) : mem_strdup("");
}

static int render_name(struct run *run, const json_t *map, const char *member, char **name, struct err *err)
{
    const char *text = json_string_at(map, member);
    *name = text ? render_dn(run, text, err) : NULL;
    return !text || *name ? 0 : err_prefix(err, "ldap.%s", member);
}

/* ---- the operations ---------------------------------------------------------------------------------------------- */

/* A list of names, which may come from a setting; NULL where the search has none. */
static int render_names(struct run *run, const json_t *search, const char *member, json_t **names, struct err *err)
{
    const json_t *wanted = json_object_get(search, member);
    size_t i;
    json_t *name;
    *names = wanted ? expr_render(run->engine->exprs, wanted, run->context, err) : NULL;
    if (wanted && !*names) {
        return err_prefix(err, "ldap.%s", member);
    }
    if (wanted && !json_is_array(*names)) {
        return err_set(err, ERR_PERMANENT, "ldap.%s must be a list of names", member);
    }
    json_array_foreach(*names, i, name)
    {
        if (!json_is_string(name) || !json_string_length(name)) {
            return err_set(err, ERR_PERMANENT, "ldap.%s: each name must be a text that is not empty", member);
        }
    }
    return 0;
}

static int render_search(struct run *run, const json_t *search, struct ldap_operation *operation, struct err *err)
{
    static const struct {
        const char *name;
        int scope;
    } scopes[] = {{"sub", LDAP_SCOPE_SUBTREE}, {"one", LDAP_SCOPE_ONELEVEL}, {"base", LDAP_SCOPE_BASE}};
    const char *scope = json_string_at(search, "scope");
    const char *filter = json_string_at(search, "filter");
    struct buf text = BUF_INIT;
    operation->kind = LDAP_OP_SEARCH;
    operation->scope = LDAP_SCOPE_SUBTREE;
    for (size_t i = 0; scope && i < COUNT_OF(scopes); i++) {
        operation->scope = strcmp(scope, scopes[i].name) == 0 ? scopes[i].scope : operation->scope;
    }
    operation->hex = json_incref(json_object_get(search, "hex"));
    int result = render_names(run, search, "attributes", &operation->attributes, err);
    result = result == 0 ? render_names(run, search, "without", &operation->without, err) : result;
    result = result == 0 ? render_name(run, search, "base", &operation->dn, err) : result;
    if (result == 0 &&
        render_escaped(run, filter ? filter : "(objectClass=*)", add_to_filter, "a filter", &text, err) != 0) {
        result = err_prefix(err, "ldap.filter");
    }
    if (result == 0) {
        operation->filter = buf_take(&text);
    }
    buf_release(&text);
    return result;
}

/* What came to nothing must not become "all values": only `replace` may end with none. */
static int add_change(const char *member, int op, const char *name, const json_t *value, LDAPMod **change,
                      struct err *err)
{
    struct berval **values = ldap_values(value, err);
    if (values && !values[0] && op != LDAP_MOD_REPLACE) {
        ldap_values_free(values);
        values = NULL;
        err_set(err, ERR_PERMANENT, "no value (`replace` with null removes all)");
    }
    if (!values) {
        return err_prefix(err, "ldap.%s.%s", member, name);
    }
    *change = MEM_NEW(LDAPMod);
    (*change)->mod_op = op | LDAP_MOD_BVALUES;
    (*change)->mod_type = mem_strdup(name);
    (*change)->mod_bvalues = values;
    return 0;
}

static int render_modify(struct run *run, const json_t *modify, struct ldap_operation *operation, struct err *err)
{
    static const struct {
        const char *member;
        int op;
    } kinds[] = {{"delete", LDAP_MOD_DELETE}, {"add", LDAP_MOD_ADD}, {"replace", LDAP_MOD_REPLACE}};
    size_t count = 0;
    int result = render_name(run, modify, "dn", &operation->dn, err);
    operation->kind = LDAP_OP_MODIFY;
    operation->changes = mem_alloc(sizeof(LDAPMod *));
    for (size_t i = 0; i < COUNT_OF(kinds) && result == 0; i++) {
        const json_t *tmpl = json_object_get(modify, kinds[i].member);
        json_t *values = tmpl ? expr_render(run->engine->exprs, tmpl, run->context, err) : json_object();
        result = values ? 0 : err_prefix(err, "ldap.%s", kinds[i].member);
        operation->changes =
            mem_realloc(operation->changes, (count + json_object_size(values) + 1) * sizeof(LDAPMod *));
        const char *name;
        json_t *value;
        json_object_foreach(values, name, value)
        {
            operation->changes[count] = NULL;
            result = result == 0
                         ? add_change(kinds[i].member, kinds[i].op, name, value, &operation->changes[count], err)
                         : -1;
            count += operation->changes[count] != NULL;
        }
        operation->changes[count] = NULL;
        json_decref(values);
    }
    return result;
}

static int render_rename(struct run *run, const json_t *rename, struct ldap_operation *operation, struct err *err)
{
    operation->kind = LDAP_OP_RENAME;
    if (render_name(run, rename, "dn", &operation->dn, err) != 0 ||
        render_name(run, rename, "newrdn", &operation->newrdn, err) != 0 ||
        render_name(run, rename, "newsuperior", &operation->newsuperior, err) != 0) {
        return -1;
    }
    if (!operation->newrdn) {
        char *parent;
        ldap_dn_split(operation->dn, &operation->newrdn, &parent);
        free(parent);
    }
    return *operation->newrdn == '<' ? err_set(err, ERR_PERMANENT,
                                               "ldap.rename: \"%s\" doesn't tell the first level of "
                                               "the name: say `newrdn`",
                                               operation->dn)
                                     : 0;
}

static int render_delete(struct run *run, const json_t *remove, struct ldap_operation *operation, struct err *err)
{
    operation->kind = LDAP_OP_DELETE;
    return render_name(run, remove, "dn", &operation->dn, err);
}

static int render_operation(struct run *run, const json_t *ldap, struct ldap_operation *operation, struct err *err)
{
    const json_t *modify = json_object_get(ldap, "modify");
    const json_t *rename = json_object_get(ldap, "rename");
    const json_t *remove = json_object_get(ldap, "delete");
    return modify   ? render_modify(run, modify, operation, err)
           : rename ? render_rename(run, rename, operation, err)
           : remove ? render_delete(run, remove, operation, err)
                    : render_search(run, json_object_get(ldap, "search"), operation, err);
}

/* A name with an empty password is a log-in that always succeeds, as nobody (RFC 4513, 5.1.2). */
static int check_log_in(struct rendered *rendered, struct err *err)
{
    if (rendered->user && !*rendered->user) { /* no log-in: that is a setting left empty */
        free(rendered->user);
        rendered->user = NULL;
    }
    return rendered->user && (!rendered->password || !*rendered->password)
               ? err_set(err, ERR_PERMANENT, "auth.basic.password is empty: the server would take that for nobody")
               : 0;
}

int ldap_render(struct run *run, const json_t *request, struct rendered *rendered, struct err *err)
{
    static const char *const scopes[] = {
        [LDAP_SCOPE_BASE] = "base", [LDAP_SCOPE_ONELEVEL] = "one", [LDAP_SCOPE_SUBTREE] = "sub"};
    const json_t *ldap = json_object_get(request, "ldap");
    rendered->is_ldap = true;
    rendered->method = ldap_method(ldap);
    rendered->url = request_base(run, request, err);
    if (!rendered->url) {
        return err_prefix(err, "base");
    }
    if (check_log_in(rendered, err) != 0 ||
        protect(run, "a directory is at ldap://HOST or ldaps://HOST", "ldap", rendered, err) != 0 ||
        render_operation(run, ldap, &rendered->ldap, err) != 0) {
        return -1;
    }
    const struct ldap_operation *operation = &rendered->ldap;
    bool search = operation->kind == LDAP_OP_SEARCH;
    rendered->server = rendered->url;
    rendered->url = ldap_url(rendered->server, operation->dn, search ? scopes[operation->scope] : NULL,
                             search ? operation->filter : NULL);
    return 0;
}

void ldap_exchange(struct run *run, const struct rendered *rendered, int64_t timeout, struct http_answer *answer)
{
    struct flight *flight = NULL;
    struct ldap_call call = {.url = rendered->server,
                             .user = rendered->user,
                             .password = rendered->password,
                             .ca_file = json_string_at(run->system->settings, "ca_file"),
                             .timeout = timeout,
                             .tls = rendered->tls && strncmp(rendered->server, "ldaps", 5) != 0,
                             .operation = &rendered->ldap};
    run->engaged.flight = &flight;
    ldap_perform(run->engine->http, &call, &flight, answer);
    run->engaged.flight = NULL;
    trace_rendered(run, rendered, rendered->ldap.kind != LDAP_OP_SEARCH, answer);
    request_note(run, rendered->method, rendered->url, rendered->ldap.kind != LDAP_OP_SEARCH, answer);
}
