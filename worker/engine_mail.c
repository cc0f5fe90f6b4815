/* A request that is a mail: where to, under which protection, and its message. */
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/time.h"
#include "worker/engine_internal.h"
#include "worker/smtp.h"

/* ---- the message ------------------------------------------------------------------------------------------------- */

/* Is it what the wait in hand sends again and again? */
static bool is_reminder(const struct run *run, const json_t *request)
{
    const json_t *in_hand = json_array_get(json_object_get(run->action, "requests"), (size_t)run->place->at);
    return request == json_at(in_hand, "wait.meanwhile");
}

/* The same on every try, so that who gets one twice can tell; another one for a job's second mail, and for every reminder: mail
 * stores drop what has the id of a mail they have. */
static char *default_message_id(const struct run *run, const json_t *request)
{
    const char *job = json_string_at(run->job->message, "job.id");
    if (is_reminder(run, request)) {
        return mem_printf("%s.%lld.%lld.%lld@offboard", job, (long long)run->account, (long long)run->place->at,
                          (long long)json_int_at(run->context, "reminder", 0));
    }
    return run->place->at || run->account
               ? mem_printf("%s.%lld.%lld@offboard", job, (long long)run->account, (long long)run->place->at)
               : mem_printf("%s@offboard", job);
}

/* A dry run has no values for all of it: what it knows is looked at. */
static bool is_known(const struct run *run, const json_t *fields)
{
    char *text = run->dry ? json_text(fields) : NULL;
    bool known = !text || !strstr(text, STAND_IN);
    free(text);
    return known;
}

static int render_message(struct run *run, const json_t *request, struct rendered *rendered, struct err *err)
{
    json_t *fields = expr_render(run->engine->exprs, json_object_get(request, "mail"), run->context, err);
    if (!fields) {
        return err_prefix(err, "mail");
    }
    if (!json_string_at(fields, "from")) {
        json_object_set(fields, "from", json_object_get(run->system->settings, "from"));
    }
    int result = 0;
    if (is_known(run, fields)) {
        char *id = default_message_id(run, request);
        result = mail_build(fields, id, time_now(), &rendered->mail, err);
        free(id);
    }
    json_decref(fields);
    return result;
}

int mail_render(struct run *run, const json_t *request, struct rendered *rendered, struct err *err)
{
    const json_t *mail = json_object_get(request, "mail");
    rendered->is_mail = true;
    rendered->url = request_base(run, request, err);
    if (!rendered->url) {
        return err_prefix(err, "base");
    }
    if (rendered->user && !*rendered->user) { /* no log-in: that is a setting left empty */
        free(rendered->user);
        rendered->user = NULL;
    }
    int result = protect(run, "mail goes to smtp://HOST:587 or smtps://HOST:465", "smtp", rendered, err);
    return result == 0 && json_object_size(mail) ? render_message(run, request, rendered, err) : result;
}

void mail_exchange(struct run *run, const struct rendered *rendered, int64_t timeout, struct http_answer *answer)
{
    struct flight *flight = NULL;
    struct smtp_call call = {.url = rendered->url,
                             .user = rendered->user,
                             .password = rendered->password,
                             .ca_file = json_string_at(run->system->settings, "ca_file"),
                             .timeout = timeout,
                             .tls = rendered->tls,
                             .from = rendered->mail.from,
                             .recipients = rendered->mail.recipients,
                             .message = rendered->mail.message};
    run->engaged.flight = &flight;
    smtp_perform(run->engine->http, &call, &flight, answer);
    run->engaged.flight = NULL;
    trace_rendered(run, rendered, call.message != NULL, answer);
    request_note(run, "MAIL", rendered->url, call.message != NULL, answer);
}
