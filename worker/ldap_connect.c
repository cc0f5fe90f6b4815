#include "worker/ldap_connect.h"

#include <openldap.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "lib/mem.h"
#include "lib/time.h"

#define SYSTEM_CA_FILE "/etc/ssl/certs/ca-certificates.crt" /* libldap knows none by itself */

enum { HANDSHAKE_SECONDS = 10, MESSAGE_BYTES_MAX = 16 * 1024 * 1024 };

/* ---- outcomes ---------------------------------------------------------------------------------------------------- */

void ldap_outcome_take(struct ldap_outcome *outcome, LDAP *ld, int code)
{
    char *text = NULL;
    if (ld) {
        ldap_get_option(ld, LDAP_OPT_DIAGNOSTIC_MESSAGE, &text);
    }
    const char *name = ldap_err2string(code);
    ldap_outcome_lose(outcome, code, code < 0 ? HTTP_FAULT_AWAY : HTTP_FAULT_NONE,
                      text && *text ? mem_printf("%s: %s", name, text) : mem_strdup(name));
    ldap_memfree(text);
}

void ldap_outcome_lose(struct ldap_outcome *outcome, int code, enum http_fault fault, char *message)
{
    free(outcome->message);
    outcome->code = code;
    outcome->fault = fault;
    outcome->message = message;
}

void ldap_outcome_give_up(struct ldap_outcome *outcome, enum await_outcome why)
{
    outcome->aborted = why == AWAIT_ABORTED;
    ldap_outcome_lose(outcome, why == AWAIT_TIMEOUT ? LDAP_TIMEOUT : LDAP_USER_CANCELLED, HTTP_FAULT_AWAY,
                      mem_strdup(why == AWAIT_TIMEOUT   ? "timed out"
                                 : why == AWAIT_ABORTED ? "the worker stops before it came"
                                                        : "could not watch the connection, or start a thread"));
}

/* ---- TCP --------------------------------------------------------------------------------------------------------- */

/* "http://host:port", of which libcurl takes only host and port. NULL: the URL is malformed. The caller frees. */
static char *tcp_url(const char *url)
{
    LDAPURLDesc *parts = NULL;
    if (ldap_url_parse(url, &parts) != LDAP_URL_SUCCESS) {
        return NULL;
    }
    const char *host = parts->lud_host && *parts->lud_host ? parts->lud_host : "localhost";
    bool v6 = strchr(host, ':') && *host != '[';
    char *text = mem_printf("http://%s%s%s:%d", v6 ? "[" : "", host, v6 ? "]" : "", parts->lud_port);
    ldap_free_urldesc(parts);
    return text;
}

/* A descriptor of the connection that outlives libcurl's; -1 with the outcome. */
static int connect_tcp(struct http *http, const char *url, int64_t timeout, struct flight **flight,
                       struct ldap_outcome *outcome)
{
    struct transfer transfer;
    curl_socket_t socket = CURL_SOCKET_BAD;
    int fd = -1;
    transfer_begin(&transfer, http_multi(http));
    if (transfer.easy) {
        curl_easy_setopt(transfer.easy, CURLOPT_URL, url);
        curl_easy_setopt(transfer.easy, CURLOPT_CONNECT_ONLY, 1L);
        curl_easy_setopt(transfer.easy, CURLOPT_PROXY, ""); /* not that of HTTP */
        curl_easy_setopt(transfer.easy, CURLOPT_TIMEOUT_MS, (long)(timeout / 1000));
    }
    transfer_run(&transfer, flight);
    if (transfer.code == CURLE_OK) {
        curl_easy_getinfo(transfer.easy, CURLINFO_ACTIVESOCKET, &socket);
        fd = dup(socket);
    }
    if (fd < 0) {
        enum http_fault fault = transfer.code == CURLE_OK ? HTTP_FAULT_AWAY : http_fault_of(transfer.code);
        outcome->aborted = transfer.aborted;
        ldap_outcome_lose(outcome, LDAP_CONNECT_ERROR, fault, mem_strdup(transfer_error(&transfer)));
    }
    transfer_end(&transfer);
    return fd;
}

static void set_up(LDAP *ld)
{
    int version = LDAP_VERSION3;
    Sockbuf *buffer = NULL;
    ber_len_t most = MESSAGE_BYTES_MAX; /* libldap allocates what a message says of its length */
    ldap_set_option(ld, LDAP_OPT_PROTOCOL_VERSION, &version);
    ldap_set_option(ld, LDAP_OPT_REFERRALS, LDAP_OPT_OFF);
    ldap_get_option(ld, LDAP_OPT_SOCKBUF, &buffer);
    ber_sockbuf_ctrl(buffer, LBER_SB_OPT_SET_MAX_INCOMING, &most);
}

LDAP *ldap_reach(struct http *http, const char *url, int64_t timeout, struct flight **flight,
                 struct ldap_outcome *outcome)
{
    LDAP *ld = NULL;
    char *tcp = tcp_url(url);
    if (!tcp) {
        ldap_outcome_lose(outcome, LDAP_PARAM_ERROR, HTTP_FAULT_REQUEST, mem_printf("\"%s\" is no LDAP URL", url));
        return NULL;
    }
    int fd = connect_tcp(http, tcp, timeout, flight, outcome);
    int code = fd < 0 ? LDAP_SUCCESS : ldap_init_fd(fd, LDAP_PROTO_TCP, url, &ld);
    if (code != LDAP_SUCCESS) {
        close(fd);
        ldap_outcome_take(outcome, NULL, code);
    }
    if (ld) {
        set_up(ld);
    }
    free(tcp);
    return ld;
}

/* ---- TLS --------------------------------------------------------------------------------------------------------- */

/* What the thread works on. */
struct handshake {
    LDAP *ld;
    char *ca_file;
    struct timeval time;
    struct ldap_outcome outcome;
};

static void shake_hands(void *arg)
{
    struct handshake *handshake = arg;
    LDAP *ld = handshake->ld;
    int demand = LDAP_OPT_X_TLS_DEMAND, client = 0;
    ldap_set_option(ld, LDAP_OPT_X_TLS_REQUIRE_CERT, &demand); /* whatever the host's ldap.conf says */
    ldap_set_option(ld, LDAP_OPT_X_TLS_CACERTFILE, handshake->ca_file);
    ldap_set_option(ld, LDAP_OPT_NETWORK_TIMEOUT, &handshake->time);
    ldap_set_option(ld, LDAP_OPT_CONNECT_ASYNC, LDAP_OPT_ON); /* else libldap tries without a pause, and for ever */
    if (ldap_set_option(ld, LDAP_OPT_X_TLS_NEWCTX, &client) != LDAP_OPT_SUCCESS) {
        ldap_outcome_lose(&handshake->outcome, LDAP_CONNECT_ERROR, HTTP_FAULT_ADDRESS,
                          mem_printf("could not read the certificates in %s", handshake->ca_file));
        return;
    }
    int code = ldap_install_tls(ld);
    ldap_outcome_take(&handshake->outcome, ld, code);
    if (code != LDAP_SUCCESS && code != LDAP_TIMEOUT) {
        handshake->outcome.fault = HTTP_FAULT_ADDRESS;
    }
}

static void release(struct handshake *handshake)
{
    free(handshake->outcome.message);
    free(handshake->ca_file);
    free(handshake);
}

/* Nobody waits any more. */
static void drop(void *arg)
{
    struct handshake *handshake = arg;
    ldap_unbind_ext(handshake->ld, NULL, NULL);
    release(handshake);
}

bool ldap_secure(struct await *await, LDAP **ld, const char *ca_file, struct ldap_outcome *outcome)
{
    struct handshake *handshake = MEM_NEW(struct handshake);
    int64_t rest = await->deadline - time_monotonic();
    rest = rest < HANDSHAKE_SECONDS * TIME_SECOND ? rest : HANDSHAKE_SECONDS * TIME_SECOND;
    handshake->ld = *ld;
    handshake->ca_file = mem_strdup(ca_file ? ca_file : SYSTEM_CA_FILE);
    handshake->time = (struct timeval){rest > 0 ? rest / TIME_SECOND : 0, rest > 0 ? rest % TIME_SECOND : 0};
    enum await_outcome waited = await_thread(await, shake_hands, drop, handshake);
    if (waited != AWAIT_READY) {
        ldap_outcome_give_up(outcome, waited);
        if (waited == AWAIT_IMPOSSIBLE) {
            release(handshake);
        } else {
            *ld = NULL;
        }
        return false;
    }
    free(outcome->message);
    *outcome = handshake->outcome;
    handshake->outcome.message = NULL;
    release(handshake);
    return outcome->code == LDAP_SUCCESS;
}
