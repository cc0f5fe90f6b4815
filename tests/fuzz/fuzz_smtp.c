/* worker/smtp.c: what a mail server says. A mail counts as sent only if the server took the sender, every recipient and the message, and what
 * it is told are commands, one a line. Lines of the input are pieces as they come from the socket: a first byte "-" leaves the line break
 * out. */
#include "lib/buf.h"
#include "tests/fuzz/fuzz.h"
#include "worker/smtp.c"

static struct fuzz_input server;
static struct buf told; /* to the server */

/* ---- in place of libcurl, worker/multi.c and worker/await.c ---------------------------------------------------------------------- */

CURLcode curl_easy_recv(CURL *easy, void *out, size_t size, size_t *len)
{
    (void)easy;
    *len = 0;
    if (server.left) {
        char *line = fuzz_line(&server);
        char *piece = *line == '-' ? mem_strdup(line + 1) : mem_printf("%s\r\n", line);
        *len = strnlen(piece, size);
        memcpy(out, piece, *len);
        free(piece);
        free(line);
        return CURLE_OK;
    }
    return CURLE_RECV_ERROR;
}

CURLcode curl_easy_send(CURL *easy, const void *data, size_t size, size_t *len)
{
    (void)easy;
    *len = size > 7 ? size - 3 : size; /* not all at once */
    buf_add(&told, data, *len);
    return CURLE_OK;
}

struct multi *http_multi(struct http *http)
{
    (void)http;
    return NULL;
}

uv_loop_t *multi_loop(struct multi *multi)
{
    (void)multi;
    return NULL;
}

enum http_fault http_fault_of(CURLcode code)
{
    return code == CURLE_OK ? HTTP_FAULT_NONE : HTTP_FAULT_AWAY;
}

void transfer_begin(struct transfer *transfer, struct multi *multi)
{
    *transfer = (struct transfer){.multi = multi};
}

/* libcurl has connected: the greeting came. */
void transfer_run(struct transfer *transfer, struct flight **under_way)
{
    (void)under_way;
    char *greeting = fuzz_line(&server);
    on_line(greeting, 1, strlen(greeting), transfer);
    transfer->code = *greeting ? CURLE_OK : CURLE_COULDNT_CONNECT;
    free(greeting);
}

const char *transfer_error(const struct transfer *transfer)
{
    return curl_easy_strerror(transfer->code);
}

void transfer_end(struct transfer *transfer)
{
    (void)transfer;
}

void await_begin(struct await *await, uv_loop_t *loop, int64_t deadline)
{
    (void)loop;
    *await = (struct await){.deadline = deadline};
}

enum await_outcome await_socket(struct await *await, int fd, int events, int64_t at_most)
{
    (void)await, (void)fd, (void)events, (void)at_most;
    return AWAIT_IMPOSSIBLE;
}

void await_end(struct await *await)
{
    (void)await;
}

/* ---------------------------------------------------------------------------------------------------------------------------------- */

static void check_told(const struct http_answer *answer)
{
    static const char whole[] =
        "MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nRCPT TO:<c@example.com>\r\nDATA\r\n"
        "Subject: x\r\n\r\n..\r\nline\r\n.\r\nQUIT\r\n";
    bool good = !answer->error && answer->status < 400;
    FUZZ_CHECK(strncmp(buf_text(&told), whole, told.len < strlen(whole) ? told.len : 0) == 0 ||
               strstr(buf_text(&told), "QUIT\r\n"));
    /* Whom the server tells that it goes away, or says too much to, says no QUIT. */
    size_t least = strlen(whole) - strlen("QUIT\r\n");
    FUZZ_CHECK(!good || (told.len >= least && strncmp(buf_text(&told), whole, told.len) == 0));
    FUZZ_CHECK(!good || answer->sent);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *to[] = {"b@example.com", "c@example.com"};
    struct curl_slist second = {to[1], NULL}, first = {to[0], &second};
    struct smtp_call call = {.url = "smtp://localhost",
                             .from = "a@example.com",
                             .recipients = &first,
                             .timeout = TIME_MINUTE,
                             .message = "Subject: x\r\n\r\n.\r\nline\r\n"};
    struct http_answer answer;
    struct flight *flight = NULL;
    server = (struct fuzz_input){data, size};
    smtp_perform(NULL, &call, &flight, &answer);
    FUZZ_CHECK((answer.fault == HTTP_FAULT_NONE) == (answer.error == NULL));
    FUZZ_CHECK(answer.status >= 0 && answer.status <= 999 && answer.body.len <= REPLY_MAX);
    check_told(&answer);
    json_decref(answer.headers);
    buf_release(&answer.body);
    free(answer.error);
    buf_release(&told);
    return 0;
}
