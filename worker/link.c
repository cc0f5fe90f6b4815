#include "worker/link.h"

#include <curl/curl.h>
#include <strings.h>

#include "lib/mem.h"

/* NULL: it is no URL. */
static CURLU *parse(const char *text)
{
    CURLU *url = curl_url();
    if (url && curl_url_set(url, CURLUPART_URL, text, CURLU_URLENCODE) != CURLUE_OK) {
        curl_url_cleanup(url);
        url = NULL;
    }
    return url;
}

char *link_resolve(const char *url, const char *link)
{
    CURLU *whole = parse(url);
    char *text = NULL;
    if (whole && curl_url_set(whole, CURLUPART_URL, link, CURLU_URLENCODE) == CURLUE_OK) {
        curl_url_set(whole, CURLUPART_FRAGMENT, NULL, 0);
        curl_url_get(whole, CURLUPART_URL, &text, 0);
    }
    char *resolved = mem_strdup(text);
    curl_free(text);
    curl_url_cleanup(whole);
    return resolved;
}

/* A port that is not said is the scheme's. */
static char *part_of(CURLU *url, CURLUPart part)
{
    char *text = NULL;
    curl_url_get(url, part, &text, CURLU_DEFAULT_PORT);
    return text;
}

static bool same_part(CURLU *a, CURLU *b, CURLUPart part)
{
    char *text_a = part_of(a, part);
    char *text_b = part_of(b, part);
    bool same = text_a && text_b && strcasecmp(text_a, text_b) == 0;
    curl_free(text_a);
    curl_free(text_b);
    return same;
}

static bool names_user(CURLU *url)
{
    char *user = part_of(url, CURLUPART_USER);
    curl_free(user);
    return user != NULL;
}

bool link_same_origin(const char *a, const char *b)
{
    CURLU *url_a = parse(a);
    CURLU *url_b = parse(b);
    bool same = url_a && url_b && !names_user(url_a) && !names_user(url_b) &&
                same_part(url_a, url_b, CURLUPART_SCHEME) && same_part(url_a, url_b, CURLUPART_HOST) &&
                same_part(url_a, url_b, CURLUPART_PORT);
    curl_url_cleanup(url_a);
    curl_url_cleanup(url_b);
    return same;
}
