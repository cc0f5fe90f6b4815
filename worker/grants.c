/* What is sent to token endpoints: RFC 6749, 4.4 (client credentials); RFC 7523, 2.1 as Google uses it (service account);
 * Zoom's account credentials. */
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "worker/credentials.h"

#define ASSERTION_LIFE TIME_HOUR /* Google takes none that is longer */

static char *joined(const json_t *scopes)
{
    struct buf out = BUF_INIT;
    size_t i;
    json_t *scope;
    json_array_foreach(scopes, i, scope)
    {
        buf_addf(&out, "%s%s", i ? " " : "", json_is_string(scope) ? json_string_value(scope) : "");
    }
    return buf_take(&out);
}

/* What the connector says in `params` takes the place of what would stand there: no member is sent twice (RFC 6749, 3.2). */
static void client_form(const struct credentials *credentials, const json_t *scopes, struct buf *form)
{
    char *scope = joined(scopes);
    json_t *members = json_pack("{s:s}", "grant_type", "client_credentials");
    json_put_string(members, "scope", *scope ? scope : NULL);
    if (!credentials->user) {
        json_put_string(members, "client_id", credentials->id);
        json_put_string(members, "client_secret", credentials->secret);
    }
    json_object_update(members, credentials->params);
    const char *name;
    json_t *value;
    json_object_foreach(members, name, value)
    {
        char *text = json_is_string(value) ? mem_strdup(json_string_value(value)) : json_text(value);
        if (!json_is_null(value)) {
            form_add(form, name, text);
        }
        free(text);
    }
    json_decref(members);
    free(scope);
}

static char *sign_assertion(const struct credentials *credentials, const char *subject, const json_t *scopes,
                            struct err *err)
{
    json_int_t now = time_now() / TIME_SECOND;
    char *scope = joined(scopes);
    json_t *claims = json_pack("{s:s, s:s, s:I, s:I}", "iss", credentials->id, "aud", credentials->url, "iat", now,
                               "exp", now + ASSERTION_LIFE / TIME_SECOND);
    json_put_string(claims, "scope", *scope ? scope : NULL);
    json_put_string(claims, "sub", subject);
    char *assertion = jwt_sign(credentials->key, credentials->key_id, claims, err);
    json_decref(claims);
    free(scope);
    return assertion;
}

static int service_form(const struct credentials *credentials, const char *subject, const json_t *scopes,
                        struct buf *form, char **assertion, struct err *err)
{
    *assertion = sign_assertion(credentials, subject, scopes, err);
    if (*assertion) {
        form_add(form, "grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
        form_add(form, "assertion", *assertion);
    }
    return *assertion ? 0 : -1;
}

static void account_form(const struct credentials *credentials, struct buf *form)
{
    form_add(form, "grant_type", "account_credentials");
    form_add(form, "account_id", credentials->account);
}

char *credentials_form(const struct credentials *credentials, const char *subject, const json_t *scopes,
                       char **assertion, struct err *err)
{
    struct buf form = BUF_INIT;
    int result = 0;
    *assertion = NULL;
    switch (credentials->kind) {
    case CLIENT_CREDENTIALS:
        client_form(credentials, scopes, &form);
        break;
    case SERVICE_ACCOUNT:
        result = service_form(credentials, subject, scopes, &form, assertion, err);
        break;
    case ACCOUNT_CREDENTIALS:
        account_form(credentials, &form);
        break;
    case SIGNATURE:
        result = err_set(err, ERR_FATAL, "what signs requests is exchanged for nothing");
        break;
    }
    if (result != 0) {
        buf_release(&form);
        return NULL;
    }
    return buf_take(&form);
}
