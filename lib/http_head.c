#include "lib/http_head.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "lib/decode.h"
#include "lib/mem.h"
#include "lib/utf8.h"

enum { METHOD_LIMIT = 32, LENGTH_DIGITS = 18 };

int http_read_refuse(struct http_read *read, int status, const char *detail)
{
    read->status = status;
    read->detail = detail;
    return -1;
}

/* RFC 9110, 5.6.2. */
static bool is_token(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        bool letter = (unsigned char)text[i] < 0x80 && isalnum((unsigned char)text[i]);
        if (!letter && (text[i] == '\0' || !strchr("!#$%&'*+-.^_`|~", text[i]))) {
            return false;
        }
    }
    return len > 0;
}

static bool has_control(const char *text, size_t len, bool tab_allowed)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c < 0x20 && !(c == '\t' && tab_allowed)) || c == 0x7f) {
            return true;
        }
    }
    return false;
}

/* ---- target ------------------------------------------------------------------------------------------------------ */

/* Percent-decodes in place. False: it is no percent-encoding of plain UTF-8 text. */
static bool decode_text(char *text)
{
    for (const char *at = strchr(text, '%'); at; at = strchr(at + 1, '%')) {
        if (decode_hex_digit(at[1]) < 0 || decode_hex_digit(at[2]) < 0) {
            return false;
        }
    }
    size_t len = decode_percent(text, strlen(text));
    text[len] = '\0';
    return strlen(text) == len && utf8_valid(text, len) == len;
}

static int parse_query(struct http_read *read, char *query)
{
    char *rest = query;
    while (rest && *rest) {
        char *arg = strsep(&rest, "&");
        for (char *plus = strchr(arg, '+'); plus; plus = strchr(plus, '+')) {
            *plus = ' ';
        }
        char *equals = strchr(arg, '=');
        char *value = equals ? equals + 1 : arg + strlen(arg);
        if (equals) {
            *equals = '\0';
        }
        if (!decode_text(arg) || (equals && !decode_text(value))) {
            return http_read_refuse(read, 400, "the query of the request's address is no percent-encoded UTF-8");
        }
        if (read->arg_count == HTTP_FIELDS_LIMIT) {
            return http_read_refuse(read, 400, "the request's address has too many parameters");
        }
        read->args[read->arg_count++] = (struct http_field){arg, value};
    }
    return 0;
}

/* The path of "http://host/path", which a server must understand (RFC 9112, 3.2.2). NULL: it is no such address. */
static char *after_authority(char *target)
{
    size_t scheme = strncasecmp(target, "http://", 7) == 0 ? 7 : strncasecmp(target, "https://", 8) == 0 ? 8 : 0;
    size_t authority = scheme ? strcspn(target + scheme, "/?") : 0;
    char *path = target + scheme + authority;
    if (authority == 0 || *path == '?') {
        return NULL;
    }
    return *path ? path : memcpy(target, "/", 2);
}

static int parse_target(struct http_read *read, char *target)
{
    for (const char *at = target; *at; at++) {
        if (*at <= ' ' || *at >= 0x7f || *at == '#') {
            return http_read_refuse(read, 400, "the request's address holds a character that must be percent-encoded");
        }
    }
    if (strcmp(target, "*") == 0 && strcmp(read->method, "OPTIONS") == 0) {
        read->path = target;
        return 0;
    }
    char *path = *target == '/' ? target : after_authority(target);
    if (!path) {
        return http_read_refuse(read, 400, "the request's address must begin with \"/\"");
    }
    char *query = strchr(path, '?');
    if (query) {
        *query++ = '\0';
    }
    if (!decode_text(path) || has_control(path, strlen(path), false)) {
        return http_read_refuse(read, 400, "the path of the request's address is no percent-encoded plain text");
    }
    read->path = path;
    return query ? parse_query(read, query) : 0;
}

static int parse_request_line(struct http_read *read, char *line, size_t len)
{
    char *first = memchr(line, ' ', len), *last = memrchr(line, ' ', len);
    if (strlen(line) != len || !first || first == last) {
        return http_read_refuse(read, 400, "the request line must be METHOD ADDRESS HTTP/1.1, with single blanks");
    }
    *first = *last = '\0';
    const char *version = last + 1;
    if ((size_t)(first - line) > METHOD_LIMIT || !is_token(line, (size_t)(first - line))) {
        return http_read_refuse(read, 400, "the method of the request is none");
    }
    if (strncmp(version, "HTTP/", 5) != 0) {
        return http_read_refuse(read, 400, "the request line must end in HTTP/1.1");
    }
    if (strcmp(version, "HTTP/1.1") != 0 && strcmp(version, "HTTP/1.0") != 0) {
        return http_read_refuse(read, 505, "this server speaks HTTP/1.1");
    }
    read->keep_alive = version[7] == '1';
    read->method = line;
    return parse_target(read, first + 1);
}

/* ---- fields ------------------------------------------------------------------------------------------------------ */

const char *http_head_field(char *line, size_t len, struct http_field *field)
{
    if (*line == ' ' || *line == '\t') {
        return "a header field is continued on a further line, which HTTP/1.1 no longer allows";
    }
    char *colon = memchr(line, ':', len);
    if (!colon || !is_token(line, (size_t)(colon - line))) {
        return "a header field is not NAME: VALUE, or a blank stands before its colon";
    }
    char *value = colon + 1, *end = line + len;
    while (value < end && (*value == ' ' || *value == '\t')) {
        value++;
    }
    while (end > value && (end[-1] == ' ' || end[-1] == '\t')) {
        end--;
    }
    if (has_control(value, (size_t)(end - value), true)) {
        return "a header field holds a control character";
    }
    *colon = *end = '\0';
    *field = (struct http_field){line, value};
    return NULL;
}

/* Of these a second one, or a list in one, would mean different things to different readers. */
static int check_single(struct http_read *read)
{
    static const char *const single[] = {"Host", "Content-Length", "Transfer-Encoding", "Authorization",
                                         "Content-Type"};
    for (size_t i = 0; i < COUNT_OF(single); i++) {
        int count = 0;
        for (size_t k = 0; k < read->field_count; k++) {
            count += strcasecmp(read->fields[k].name, single[i]) == 0;
        }
        if (count > 1) {
            return http_read_refuse(read, 400,
                                    "Host, Content-Length, Transfer-Encoding, Authorization and Content-Type may each "
                                    "stand in a request once");
        }
    }
    return 0;
}

static int parse_length(struct http_read *read, const char *text)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || text[digits] || digits > LENGTH_DIGITS) {
        return http_read_refuse(read, 400, "Content-Length must be one whole number");
    }
    for (; *text; text++) {
        read->length = read->length * 10 + (uint64_t)(*text - '0');
    }
    return 0;
}

static int check_framing(struct http_read *read, bool http_1_1)
{
    const char *length = http_read_field(read, "Content-Length"), *coding = http_read_field(read, "Transfer-Encoding");
    if (coding && length) {
        return http_read_refuse(read, 400, "Content-Length and Transfer-Encoding exclude each other");
    }
    if (coding && !http_1_1) {
        return http_read_refuse(read, 400, "HTTP/1.0 has no Transfer-Encoding");
    }
    if (coding && strcasecmp(coding, "chunked") != 0) {
        return http_read_refuse(read, 501, "the only Transfer-Encoding that this server knows is \"chunked\"");
    }
    read->chunked = coding != NULL;
    return length ? parse_length(read, length) : 0;
}

static bool listed(const char *list, const char *word)
{
    size_t len = strlen(word);
    for (list += strspn(list, ", \t"); *list; list += strspn(list, ", \t")) {
        size_t item = strcspn(list, ", \t");
        if (item == len && strncasecmp(list, word, len) == 0) {
            return true;
        }
        list += item;
    }
    return false;
}

static int check_fields(struct http_read *read)
{
    bool http_1_1 = read->keep_alive;
    const char *host = http_read_field(read, "Host"), *expect = http_read_field(read, "Expect"),
               *connection = http_read_field(read, "Connection");
    if (check_single(read) != 0 || check_framing(read, http_1_1) != 0) {
        return -1;
    }
    if ((http_1_1 && !host) || (host && strpbrk(host, " \t,/@"))) {
        return http_read_refuse(read, 400, "a request must name one Host");
    }
    if (expect && strcasecmp(expect, "100-continue") != 0) {
        return http_read_refuse(read, 417, "the only expectation that this server knows is \"100-continue\"");
    }
    read->expects_continue = expect && http_1_1;
    read->keep_alive = http_1_1 && !(connection && listed(connection, "close"));
    return 0;
}

int http_head_parse(struct http_read *read)
{
    char *line = read->head.data, *end = read->head.data + read->head.len;
    for (bool first = true; line < end; first = false) {
        char *feed = memchr(line, '\n', (size_t)(end - line)); /* http_read.c saw the CR before it */
        size_t len = (size_t)(feed - line) - 1;
        line[len] = '\0';
        if (first && parse_request_line(read, line, len) != 0) {
            return -1;
        }
        if (!first && len > 0) {
            if (read->field_count == HTTP_FIELDS_LIMIT) {
                return http_read_refuse(read, 431, "the request has too many header fields");
            }
            const char *wrong = http_head_field(line, len, &read->fields[read->field_count++]);
            if (wrong) {
                return http_read_refuse(read, 400, wrong);
            }
        }
        line = feed + 1;
    }
    return check_fields(read);
}
