#include "worker/mail.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/text.h"
#include "lib/time.h"
#include "worker/mail_internal.h"

enum { LINE_MOST = 998 }; /* RFC 5322, 2.1.1 */

/* ---- headers ----------------------------------------------------------------------------------------------------- */

/* Is `value` a text that can stand in a header? */
static const char *header_text(const char *field, const json_t *value, struct err *err)
{
    const char *text = json_string_value(value);
    if (!text) {
        err_set(err, ERR_PERMANENT, "mail.%s is no text", field);
    } else if (mail_has_control(text)) {
        err_set(err, ERR_PERMANENT, "mail.%s holds a line break or another control character", field);
        text = NULL;
    }
    return text;
}

static int add_subject(struct buf *out, const json_t *fields, struct err *err)
{
    const char *subject = header_text("subject", json_object_get(fields, "subject"), err);
    if (!subject) {
        return -1;
    }
    buf_adds(out, "Subject: ");
    mail_add_phrase(out, subject);
    buf_adds(out, "\r\n");
    return 0;
}

/* In UTC; the names are English whatever the locale. */
static void add_date(struct buf *out, int64_t now)
{
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t seconds = (time_t)(now / TIME_SECOND);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    buf_addf(out, "Date: %s, %d %s %d %02d:%02d:%02d +0000\r\n", days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon],
             tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static int add_message_id(struct buf *out, const json_t *fields, const char *otherwise, struct err *err)
{
    const json_t *given = json_object_get(fields, "message_id");
    const char *id = !given || json_is_null(given) ? otherwise : header_text("message_id", given, err);
    if (!id) {
        return -1;
    }
    size_t len = strlen(id);
    bool bracketed = len > 2 && id[0] == '<' && id[len - 1] == '>';
    if (!mail_is_address(bracketed ? id + 1 : id, bracketed ? len - 2 : len)) {
        return err_set(err, ERR_PERMANENT, "mail.message_id: \"%s\" is none, which looks like \"<unique@domain>\"", id);
    }
    buf_addf(out, bracketed ? "Message-ID: %s\r\n" : "Message-ID: <%s>\r\n", id);
    return 0;
}

/* Headers that mail_build() makes itself, or that nobody should. */
static bool is_taken(const char *name)
{
    static const char *const taken[] = {"from", "to",         "cc",           "bcc",    "reply-to", "subject",
                                        "date", "message-id", "mime-version", "sender", "received", "auto-submitted"};
    for (size_t i = 0; i < COUNT_OF(taken); i++) {
        if (strcasecmp(taken[i], name) == 0) {
            return true;
        }
    }
    return strncasecmp(name, "content-", strlen("content-")) == 0;
}

/* RFC 5322, 2.2: printable ASCII without a colon. */
static bool is_header_name(const char *name)
{
    bool good = *name && strlen(name) < MAIL_LINE_WANTED;
    for (const char *at = name; *at; at++) {
        good = good && *at > ' ' && *at < 0x7f && *at != ':';
    }
    return good;
}

static int add_own_headers(struct buf *out, const json_t *headers, struct err *err)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)headers, name, value)
    {
        if (json_is_null(value)) {
            continue;
        }
        const char *text = header_text("headers", value, err);
        if (!text) {
            return err_prefix(err, "%s", name);
        }
        if (!is_header_name(name) || is_taken(name) || strlen(text) > LINE_MOST - MAIL_LINE_WANTED) {
            return err_set(err, ERR_PERMANENT, "mail.headers: \"%s\" can't be set there, or is too long", name);
        }
        buf_addf(out, "%s: ", name);
        if (text_is_ascii(text)) {
            buf_adds(out, text);
        } else {
            mail_add_encoded(out, text);
        }
        buf_adds(out, "\r\n");
    }
    return 0;
}

/* ---- body -------------------------------------------------------------------------------------------------------- */

/* Lines end in CRLF, whatever they ended in. */
static void add_lines(struct buf *out, const char *text)
{
    for (const char *at = text; *at; at++) {
        bool pair = at[0] == '\r' && at[1] == '\n';
        if (*at == '\n' || *at == '\r') {
            buf_adds(out, "\r\n");
        } else {
            buf_add(out, at, 1);
        }
        at += pair;
    }
    if (out->len < 2 || strcmp(out->data + out->len - 2, "\r\n") != 0) {
        buf_adds(out, "\r\n");
    }
}

/* Can it go as it is: ASCII in lines that every server takes? */
static bool is_plain(const char *lines)
{
    size_t len = 0;
    for (const char *at = lines; *at; at++) {
        bool control = (unsigned char)*at < ' ' && !strchr("\r\n\t", *at);
        len = *at == '\n' ? 0 : len + 1;
        if (control || (unsigned char)*at >= 0x7f || len > LINE_MOST) {
            return false;
        }
    }
    return true;
}

static void add_part(struct buf *out, const char *type, const char *text, bool as_it_is)
{
    struct buf lines = BUF_INIT;
    add_lines(&lines, text);
    bool plain = as_it_is && is_plain(buf_text(&lines));
    buf_addf(out, "Content-Type: %s; charset=utf-8\r\nContent-Transfer-Encoding: %s\r\n\r\n", type,
             plain ? "7bit" : "base64");
    if (plain) {
        buf_adds(out, buf_text(&lines));
    }
    for (size_t at = 0; !plain && at < lines.len; at += MAIL_BASE64_BYTES) {
        size_t left = lines.len - at;
        mail_add_base64(out, lines.data + at, left < MAIL_BASE64_BYTES ? left : MAIL_BASE64_BYTES);
        buf_adds(out, "\r\n");
    }
    buf_release(&lines);
}

/* "=_" is in no line of base64 (RFC 2045, 6.7): the parts can't hold the boundary. */
#define BOUNDARY "=_offboard"

static int add_body(struct buf *out, const json_t *fields, struct err *err)
{
    const json_t *given = json_object_get(fields, "html");
    const char *text = json_string_at(fields, "text");
    const char *html = json_string_value(given);
    if (!text || (given && !html && !json_is_null(given))) {
        return err_set(err, ERR_PERMANENT, "mail.%s is no text", text ? "html" : "text");
    }
    buf_adds(out, "MIME-Version: 1.0\r\n");
    if (!html) {
        add_part(out, "text/plain", text, true);
        return 0;
    }
    buf_adds(out, "Content-Type: multipart/alternative; boundary=\"" BOUNDARY "\"\r\n\r\n--" BOUNDARY "\r\n");
    add_part(out, "text/plain", text, false);
    buf_adds(out, "--" BOUNDARY "\r\n");
    add_part(out, "text/html", html, false);
    buf_adds(out, "--" BOUNDARY "--\r\n");
    return 0;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static int add_from(struct buf *out, const json_t *fields, struct mail *mail, struct err *err)
{
    const json_t *from = json_object_get(fields, "from");
    buf_adds(out, "From: ");
    mail->from = mail_add_address(out, "from", from ? from : json_null(), err);
    buf_adds(out, "\r\n");
    return mail->from ? 0 : -1;
}

static int add_all_addresses(struct buf *out, const json_t *fields, struct mail *mail, struct err *err)
{
    static const struct {
        const char *field;
        const char *title;
        bool recipients;
    } kinds[] = {{"to", "To", true}, {"cc", "Cc", true}, {"bcc", NULL, true}, {"reply_to", "Reply-To", false}};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        const json_t *value = json_object_get(fields, kinds[i].field);
        if (value && !json_is_null(value) &&
            mail_add_addresses(out, kinds[i].title, kinds[i].field, value,
                               kinds[i].recipients ? &mail->recipients : NULL, err) != 0) {
            return -1;
        }
        if (i == 0 && !mail->recipients) {
            return err_set(err, ERR_PERMANENT, "mail.to is empty: nobody would get it");
        }
    }
    return 0;
}

int mail_build(const json_t *fields, const char *message_id, int64_t now, struct mail *mail, struct err *err)
{
    struct mail made = {0};
    struct buf out = BUF_INIT;
    int result = add_from(&out, fields, &made, err);
    result = result == 0 ? add_all_addresses(&out, fields, &made, err) : -1;
    result = result == 0 ? add_subject(&out, fields, err) : -1;
    add_date(&out, now);
    result = result == 0 ? add_message_id(&out, fields, message_id, err) : -1;
    buf_adds(&out, "Auto-Submitted: auto-generated\r\n"); /* RFC 3834: nobody's absence note answers */
    result = result == 0 ? add_own_headers(&out, json_object_get(fields, "headers"), err) : -1;
    result = result == 0 ? add_body(&out, fields, err) : -1;
    if (result == 0) {
        made.message = buf_take(&out);
        *mail = made;
    } else {
        mail_release(&made);
    }
    buf_release(&out);
    return result;
}

void mail_release(struct mail *mail)
{
    free(mail->from);
    curl_slist_free_all(mail->recipients);
    free(mail->message);
    *mail = (struct mail){0};
}
