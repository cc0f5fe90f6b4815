/* What a request says, as bytes: path, query, headers, credentials, body. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/message.h"
#include "lib/secret.h"
#include "worker/engine_internal.h"

void percent_encode(struct buf *out, const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (isalnum(*c) || strchr("-._~", *c)) {
            buf_add(out, c, 1);
        } else {
            buf_addf(out, "%%%02X", *c);
        }
    }
}

int render_escaped(struct run *run, const char *text, bool (*add)(struct buf *out, const char *value),
                   const char *place, struct buf *out, struct err *err)
{
    const char *at = text;
    while (*at) {
        const char *open = strstr(at, "${");
        buf_add(out, at, open ? (size_t)(open - at) : strlen(at));
        if (!open) {
            return 0;
        }
        const char *close = expr_end(open);
        char *expression = mem_strndup(open, (size_t)(close - open));
        char *value = context_text(run, expression, err);
        bool bad = value && (!*value || !add(out, value));
        if (bad) {
            err_set(err, ERR_PERMANENT, "%s is \"%s\": that has no place in %s", expression, value, place);
        }
        free(expression);
        free(value);
        if (!value || bad) {
            return -1;
        }
        at = close;
    }
    return 0;
}

/* A path's `${ }` is encoded; what would change the path's shape (nothing, `.`, `..`) is a hard error. */
static bool add_to_path(struct buf *out, const char *value)
{
    if (strcmp(value, ".") == 0 || strcmp(value, "..") == 0) {
        return false;
    }
    percent_encode(out, value);
    return true;
}

void form_add(struct buf *form, const char *name, const char *value)
{
    buf_adds(form, form->len ? "&" : "");
    percent_encode(form, name);
    buf_adds(form, "=");
    percent_encode(form, value);
}

static void add_pair(struct buf *out, const char *name, const json_t *value)
{
    char *text = json_is_string(value) ? mem_strdup(json_string_value(value)) : json_text(value);
    form_add(out, name, text);
    free(text);
}

/* name=value pairs, encoded; null leaves one out, a list repeats it. `values` (NULL: none) are taken as they are and
 * win. */
static int render_pairs(struct run *run, const json_t *map, const json_t *values, struct buf *out, struct err *err)
{
    json_t *pairs = json_object();
    const char *name;
    json_t *tmpl;
    json_object_foreach((json_t *)(uintptr_t)map, name, tmpl)
    {
        json_t *value = context_render(run, tmpl, err);
        if (!value) {
            json_decref(pairs);
            return err_prefix(err, "%s", name);
        }
        json_object_set_new(pairs, name, value);
    }
    json_object_update(pairs, (json_t *)(uintptr_t)values);
    json_t *value;
    json_object_foreach(pairs, name, value)
    {
        size_t i;
        json_t *item;
        json_array_foreach(value, i, item)
        {
            add_pair(out, name, item);
        }
        if (!json_is_array(value) && !json_is_null(value)) {
            add_pair(out, name, value);
        }
    }
    json_decref(pairs);
    return 0;
}

void rendered_release(struct rendered *rendered)
{
    free(rendered->url);
    curl_slist_free_all(rendered->headers);
    free(rendered->body);
    auth_release(rendered);
    mail_release(&rendered->mail);
    ldap_operation_release(&rendered->ldap);
    free(rendered->server);
}

static void add_header(struct rendered *rendered, const char *name, const char *value)
{
    char *line = mem_printf("%s: %s", name, value);
    rendered->headers = curl_slist_append(rendered->headers, line);
    free(line);
}

int render_headers(struct run *run, const json_t *map, struct rendered *rendered, bool *content_type, struct err *err)
{
    const char *name;
    json_t *tmpl;
    json_object_foreach((json_t *)(uintptr_t)map, name, tmpl)
    {
        char *value = context_text(run, json_string_value(tmpl) ? json_string_value(tmpl) : "", err);
        if (!value || strpbrk(value, "\r\n")) {
            free(value);
            return value ? err_set(err, ERR_PERMANENT, "header %s holds a line break", name)
                         : err_prefix(err, "header %s", name);
        }
        *content_type = *content_type || strcasecmp(name, "content-type") == 0;
        add_header(rendered, name, value);
        free(value);
    }
    return 0;
}

int render_headers_but(struct run *run, const json_t *map, const json_t *own, struct rendered *rendered,
                       bool *content_type, struct err *err)
{
    json_t *others = json_object();
    const char *name, *replaced;
    json_t *tmpl, *ignored;
    json_object_foreach((json_t *)(uintptr_t)map, name, tmpl)
    {
        bool is_own = false;
        json_object_foreach((json_t *)(uintptr_t)own, replaced, ignored)
        {
            is_own = is_own || strcasecmp(name, replaced) == 0;
        }
        if (!is_own) {
            json_object_set(others, name, tmpl);
        }
    }
    int result = render_headers(run, others, rendered, content_type, err);
    json_decref(others);
    return result;
}

static int render_body(struct run *run, const json_t *request, struct rendered *rendered, bool content_type,
                       struct err *err)
{
    const json_t *json = json_object_get(request, "json");
    const json_t *form = json_object_get(request, "form");
    if (json) {
        json_t *value = context_render(run, json, err);
        if (!value) {
            return err_prefix(err, "json");
        }
        json_object_update(value, json_at(request, "page.json"));
        rendered->body = json_text(value);
        json_decref(value);
    } else if (form) {
        struct buf pairs = BUF_INIT;
        json_t *whole = json_is_string(form) ? expr_render(run->engine->exprs, form, run->context, err) : NULL;
        int result = !json_is_string(form)   ? render_pairs(run, form, NULL, &pairs, err)
                     : json_is_object(whole) ? render_pairs(run, NULL, whole, &pairs, err)
                     : whole                 ? err_set(err, ERR_PERMANENT, "the expression yields no map")
                                             : -1;
        json_decref(whole);
        if (result != 0) {
            buf_release(&pairs);
            return err_prefix(err, "form");
        }
        rendered->body = buf_take(&pairs);
    } else if (strcmp(rendered->method, "POST") == 0 || strcmp(rendered->method, "PUT") == 0 ||
               strcmp(rendered->method, "PATCH") == 0) {
        rendered->body = mem_strdup(""); /* Content-Length: 0, or some servers answer 411 */
    }
    if ((json || form) && !content_type) {
        add_header(rendered, "Content-Type", json ? "application/json" : "application/x-www-form-urlencoded");
    }
    return 0;
}

char *request_base(struct run *run, const json_t *request, struct err *err)
{
    const char *own = json_string_at(request, "base");
    const char *base = own ? own : json_string_at(run->system->connector->tree, "base");
    return expr_text(run->engine->exprs, base ? base : "${ .settings.url }", run->context, err);
}

/* The base and the path; a path that is a whole URL has its own. */
static int render_place(struct run *run, const json_t *request, const char *path, struct buf *url, struct err *err)
{
    bool whole = strncmp(path, "http://", 7) == 0 || strncmp(path, "https://", 8) == 0;
    char *prefix = whole ? mem_strdup("") : request_base(run, request, err);
    if (!prefix) {
        return err_prefix(err, "base");
    }
    size_t len = strlen(prefix);
    buf_add(url, prefix, len && prefix[len - 1] == '/' && *path == '/' ? len - 1 : len);
    free(prefix);
    return render_escaped(run, path, add_to_path, "a path", url, err);
}

/* A link to a next page is whole, and holds its own query. */
static int render_url(struct run *run, const json_t *request, const json_t *path, struct buf *url, struct err *err)
{
    const json_t *page = json_object_get(request, "page");
    const char *link = json_string_at(page, "link");
    if (link) {
        return buf_adds(url, link);
    }
    struct buf query = BUF_INIT;
    int result = render_place(run, request, json_string_value(path) ? json_string_value(path) : "", url, err);
    if (result == 0) {
        result = render_pairs(run, json_object_get(request, "query"), json_object_get(page, "query"), &query, err);
    }
    if (result == 0 && query.len) {
        buf_addf(url, "%s%s", strchr(buf_text(url), '?') ? "&" : "?", buf_text(&query));
    }
    buf_release(&query);
    return result;
}

static int render_target(struct run *run, const json_t *request, const json_t *path, struct rendered *rendered,
                         struct err *err)
{
    struct buf url = BUF_INIT;
    int result = render_url(run, request, path, &url, err);
    if (result == 0) {
        rendered->url = buf_take(&url);
        free(run->url);
        run->url = mem_strdup(rendered->url);
    }
    buf_release(&url);
    return result;
}

int request_render(struct run *run, const json_t *request, struct rendered *rendered, struct err *err)
{
    const json_t *path;
    bool content_type = false;
    const json_t *own = json_object_get(request, "headers");
    rendered->method = request_method(request, &path);
    if (request_is_mail(request)) {
        return auth_render(run, request, rendered, err) == 0 ? mail_render(run, request, rendered, err) : -1;
    }
    if (request_ldap(request)) {
        return auth_render(run, request, rendered, err) == 0 ? ldap_render(run, request, rendered, err) : -1;
    }
    if (render_target(run, request, path, rendered, err) != 0 ||
        render_headers_but(run, json_object_get(run->system->connector->tree, "headers"), own, rendered, &content_type,
                           err) != 0 ||
        render_headers(run, own, rendered, &content_type, err) != 0 || auth_render(run, request, rendered, err) != 0 ||
        render_body(run, request, rendered, content_type, err) != 0) {
        return -1;
    }
    add_header(rendered, "User-Agent", "offboard");
    rendered->headers = curl_slist_append(rendered->headers, "Expect:"); /* no waiting for 100 Continue */
    const char *trace = json_string_at(run->job->message, "job.traceparent");
    char *traceparent = message_traceparent(trace);
    add_header(rendered, "traceparent", traceparent);
    message_span_id(traceparent, run->span_id);
    free(traceparent);
    return 0;
}
