/* The yardstick: how fast can libcurl's multi interface make the same requests, with nothing else to do?
 *
 *   raw URL REQUESTS IN_FLIGHT      prints "requests_per_second N"
 *
 * PATCHes a small JSON body, as the benchmark's connector does, with IN_FLIGHT transfers at a time over re-used easy handles
 * and connections. */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/mem.h"
#include "lib/time.h"

static size_t swallow(char *data, size_t size, size_t count, void *arg)
{
    (void)data;
    (void)arg;
    return size * count;
}

static CURL *transfer(const char *url, struct curl_slist *headers)
{
    CURL *easy = curl_easy_init();
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "PATCH");
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, "{\"active\":false}");
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, swallow);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    return easy;
}

/* Puts finished transfers back to work until `left` is used up. Returns how many finished. */
static long again(CURLM *multi, long *left)
{
    long finished = 0;
    int queued;
    CURLMsg *message;
    while ((message = curl_multi_info_read(multi, &queued))) {
        CURL *easy = message->easy_handle;
        if (message->data.result != CURLE_OK) {
            fprintf(stderr, "raw: %s\n", curl_easy_strerror(message->data.result));
            exit(1);
        }
        finished++;
        curl_multi_remove_handle(multi, easy);
        if (*left > 0) {
            (*left)--;
            curl_multi_add_handle(multi, easy);
        } else {
            curl_easy_cleanup(easy);
        }
    }
    return finished;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: raw URL REQUESTS IN_FLIGHT\n");
        return 2;
    }
    long requests = atol(argv[2]);
    long in_flight = atol(argv[3]);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    CURLM *multi = curl_multi_init();
    long left = requests;
    int64_t begin = time_monotonic();
    for (long i = 0; i < in_flight && left > 0; i++, left--) {
        curl_multi_add_handle(multi, transfer(argv[1], headers));
    }
    for (long done = 0; done < requests;) {
        int running;
        curl_multi_perform(multi, &running);
        long finished = again(multi, &left);
        done += finished;
        if (!finished) {
            curl_multi_poll(multi, NULL, 0, 1000, NULL);
        }
    }
    double seconds = (double)(time_monotonic() - begin) / (double)TIME_SECOND;
    printf("requests_per_second %.0f\n", (double)requests / seconds);
    curl_multi_cleanup(multi);
    curl_slist_free_all(headers);
    curl_global_cleanup();
    return 0;
}
