/* Links on pages: what they mean where they stand, and whether they stay with the vendor. */
/* links: worker/link.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/mem.h"
#include "worker/link.h"

#define PAGE "https://api.example.com/v2/users/list?limit=2"

static void test_resolve(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"https://api.example.com/v2/users/list?after=b", "https://api.example.com/v2/users/list?after=b"},
        {"/v2/users/list?after=b", "https://api.example.com/v2/users/list?after=b"},
        {"/other", "https://api.example.com/other"},
        {"?after=b", "https://api.example.com/v2/users/list?after=b"},
        {"list?after=b", "https://api.example.com/v2/users/list?after=b"},
        {"./more", "https://api.example.com/v2/users/more"},
        {"../groups?x=1", "https://api.example.com/v2/groups?x=1"},
        {"/v2/../v3/./users", "https://api.example.com/v3/users"},
        {"//api.example.com/v3", "https://api.example.com/v3"},
        {"//elsewhere.example.com/v3", "https://elsewhere.example.com/v3"},
        {"?after=b#top", "https://api.example.com/v2/users/list?after=b"},
        {"?filter=a b", "https://api.example.com/v2/users/list?filter=a+b"},
        {"?after=%2F${.settings.token}", "https://api.example.com/v2/users/list?after=%2F${.settings.token}"},
        {"https://", NULL},
        {"http://a:b:c/", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char *url = link_resolve(PAGE, rows[i][0]);
        if (!rows[i][1]) {
            assert_null(url);
        } else {
            assert_non_null(url);
            assert_string_equal(url, rows[i][1]);
        }
        free(url);
    }
    assert_null(link_resolve("no address", "/x"));
}

static void test_origin(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool same;
    } rows[] = {
        {"https://api.example.com", "https://api.example.com/v2/users", true},
        {"https://api.example.com", "https://API.example.COM/v2", true},
        {"https://api.example.com", "HTTPS://api.example.com:443/v2", true},
        {"https://api.example.com:443/base", "https://api.example.com/v2", true},
        {"http://api.example.com:80", "http://api.example.com/v2", true},
        {"http://127.0.0.1:8080", "http://127.0.0.1:8080/x?y", true},
        {"https://api.example.com", "http://api.example.com/v2", false},
        {"https://api.example.com", "https://api.example.com:8443/v2", false},
        {"https://api.example.com", "https://api.example.com.evil.net/", false},
        {"https://api.example.com", "https://evil.net/api.example.com", false},
        {"https://api.example.com", "https://api.example.com@evil.net/", false},
        {"https://api.example.com", "https://evil.net@api.example.com/", false},
        {"https://api.example.com", "https://api.example.com\\@evil.net/", false},
        {"https://api.example.com", "", false},
        {"https://api.example.com", "/v2", false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (link_same_origin(rows[i].a, rows[i].b) != rows[i].same) {
            fail_msg("%s and %s", rows[i].a, rows[i].b);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_resolve), cmocka_unit_test(test_origin)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
