#include "lib/address.h"

#include <curl/curl.h>
#include <string.h>

#include "lib/mem.h"

static bool known_scheme(const char *scheme)
{
    static const char *const schemes[] = {"https", "http", "ldaps", "ldap", "smtps", "smtp"};
    bool known = false;
    for (size_t i = 0; i < COUNT_OF(schemes); i++) {
        known = known || strcmp(schemes[i], scheme) == 0;
    }
    return known;
}

static bool has(CURLU *url, CURLUPart part)
{
    char *text = NULL;
    bool there = curl_url_get(url, part, &text, 0) == CURLUE_OK && *text;
    curl_free(text);
    return there;
}

static const char *fault_of(CURLU *url, bool whole)
{
    char *scheme = NULL;
    bool known = curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK && known_scheme(scheme);
    curl_free(scheme);
    return !known                                ? "it must begin with https:// (or http, ldaps, ldap, smtps, smtp)"
           : !has(url, CURLUPART_HOST)           ? "it names no host"
           : has(url, CURLUPART_USER)            ? "it holds credentials: put them into settings of their own"
           : has(url, CURLUPART_FRAGMENT)        ? "it has a fragment (#…), which no server ever sees"
           : !whole && has(url, CURLUPART_QUERY) ? "it has a query (?…), but paths are put behind it"
                                                 : NULL;
}

const char *address_fault(const char *address, bool whole)
{
    if (!*address) {
        return "it is empty";
    }
    if (strpbrk(address, " \t\r\n")) {
        return "it holds a blank";
    }
    if (!strstr(address, "://")) {
        return "it must begin with https:// (or http, ldaps, ldap, smtps, smtp)";
    }
    CURLU *url = curl_url();
    CURLUcode code = curl_url_set(url, CURLUPART_URL, address, CURLU_NON_SUPPORT_SCHEME);
    const char *fault = code == CURLUE_OK ? fault_of(url, whole) : curl_url_strerror(code);
    curl_url_cleanup(url);
    return fault;
}
