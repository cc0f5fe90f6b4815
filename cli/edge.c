/* HTTP to the edge. The token goes into a header, never into a URL or a command line. */
#include <curl/curl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "lib/buf.h"
#include "lib/json.h"
#include "lib/mem.h"

enum { EDGE_TIMEOUT_S = 30 };

static size_t collect(char *data, size_t size, size_t count, void *arg)
{
    return buf_add(arg, data, size * count) == 0 ? size * count : 0;
}

static struct curl_slist *edge_headers(struct cli *cli, const char *content_type, const char *const *more)
{
    struct curl_slist *list = NULL;
    char *line = mem_printf("Content-Type: %s", content_type);
    list = curl_slist_append(list, line);
    free(line);
    const char *token = conf_string(cli->conf, "edge.token");
    if (token) {
        line = mem_printf("Authorization: Bearer %s", token);
        list = curl_slist_append(list, line);
        free(line);
    }
    for (; more && *more; more++) {
        list = curl_slist_append(list, *more);
    }
    return list;
}

/* Turns a problem document (RFC 9457) into an err. */
static int edge_refused(long status, const json_t *problem, struct err *err)
{
    const char *detail = json_string_at(problem, "detail");
    const char *field = json_string_at(problem, "field");
    const char *title = json_string_at(problem, "title");
    enum err_class class = status == 503 || status == 502 || status == 504 ? ERR_RETRY : ERR_PERMANENT;
    if (!detail && !title) {
        return err_set(err, class, "the edge answered %ld", status);
    }
    return err_set(err, class, "the edge answered %ld: %s%s%s%s", status, detail ? detail : title,
                   field ? " (field: " : "", field ? field : "", field ? ")" : "");
}

static int edge_perform(CURL *easy, const char *url, struct buf *received, json_t **answer, struct err *err)
{
    CURLcode code = curl_easy_perform(easy);
    if (code != CURLE_OK) {
        return err_set(err, ERR_RETRY, "could not reach the edge at %s: %s", url, curl_easy_strerror(code));
    }
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    json_t *body = received->len ? json_parse(received->data, received->len, NULL) : NULL;
    if (!body) {
        body = json_null();
    }
    if (status < 200 || status > 299) {
        edge_refused(status, body, err);
        json_decref(body);
        return -1;
    }
    *answer = body;
    return 0;
}

int cli_edge_post(struct cli *cli, const char *path, const char *content_type, const char *const *headers,
                  const char *body, json_t **answer, struct err *err)
{
    CURL *easy = curl_easy_init();
    char *url =
        mem_printf("%s%s", conf_string(cli->conf, strcmp(path, "/v1/reveals") == 0 ? "reveal.url" : "edge.url"), path);
    struct curl_slist *list = edge_headers(cli, content_type, headers);
    struct buf received = BUF_INIT;
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT, (long)EDGE_TIMEOUT_S);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &received);
    int result = edge_perform(easy, url, &received, answer, err);
    buf_release(&received);
    curl_slist_free_all(list);
    curl_easy_cleanup(easy);
    free(url);
    return result;
}

void cli_put_requester(json_t *object)
{
    const struct passwd *user = getpwuid(geteuid());
    json_put_string(object, "requested_by", user ? user->pw_name : NULL);
}

enum cli_exit cli_edge_send(struct cli *cli, const char *path, json_t *body, const char *const *headers,
                            json_t **answer)
{
    struct err err = ERR_INIT;
    cli_put_requester(body);
    char *text = json_text(body);
    json_decref(body);
    int result = cli_edge_post(cli, path, "application/json", headers, text, answer, &err);
    free(text);
    return result == 0 ? CLI_OK : (enum cli_exit)cli_fail_err(CLI_REFUSED, &err);
}
