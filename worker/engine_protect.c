/* Transports other than HTTP: which server, and must what goes there be encrypted. */
#include <arpa/inet.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "worker/engine_internal.h"

/* This host: what is sent to it can't be overheard. Names are not looked up, but for the one everybody has. */
static bool is_loopback(const char *host)
{
    struct in_addr address;
    return strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
           (inet_pton(AF_INET, host, &address) == 1 && ntohl(address.s_addr) >> 24 == 127);
}

struct server {
    char *scheme; /* both for curl_free() */
    char *host;
};

static int read_server(const char *url, const char *clear, struct server *server)
{
    CURLU *parts = curl_url();
    size_t len = strlen(clear);
    bool good = curl_url_set(parts, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK &&
                curl_url_get(parts, CURLUPART_SCHEME, &server->scheme, 0) == CURLUE_OK &&
                curl_url_get(parts, CURLUPART_HOST, &server->host, 0) == CURLUE_OK &&
                strncmp(server->scheme, clear, len) == 0 &&
                (!server->scheme[len] || strcmp(server->scheme + len, "s") == 0);
    curl_url_cleanup(parts);
    return good ? 0 : -1;
}

/* Is STARTTLS demanded? The setting `tls` says so, else where the server is; a password needs protection anyway. */
static int decide(struct run *run, const char *clear, const struct server *server, struct rendered *rendered,
                  struct err *err)
{
    const char *setting = json_string_at(run->system->settings, "tls");
    bool off = setting && strcmp(setting, "off") == 0;
    bool here = is_loopback(server->host);
    if (setting && !off && strcmp(setting, "required") != 0) {
        return err_set(err, ERR_PERMANENT, "systems.%s.tls must be required or off, not \"%s\"", run->job->system,
                       setting);
    }
    rendered->tls = setting ? !off : !here;
    if (!rendered->tls && !here && rendered->user && strcmp(server->scheme, clear) == 0) {
        return err_set(
            err, ERR_PERMANENT,
            "with `tls: off` a password would go to %s in the clear: set systems.%s.tls to required, or no user",
            server->host, run->job->system);
    }
    return 0;
}

int protect(struct run *run, const char *rule, const char *clear, struct rendered *rendered, struct err *err)
{
    struct server server = {0};
    int result = read_server(rendered->url, clear, &server);
    result = result == 0 ? decide(run, clear, &server, rendered, err)
                         : err_set(err, ERR_PERMANENT, "%s, and base is \"%s\"", rule, rendered->url);
    curl_free(server.scheme);
    curl_free(server.host);
    return result;
}
