/* Which addresses are one, and which are two people's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/fold.h"
#include "lib/mem.h"

struct pair {
    const char *a, *b;
};

static const struct pair same[] = {
    {"JANE@Example.com", "jane@example.COM"},
    {"J\u00dcRGEN@example.com", "j\u00fcrgen@example.com"},
    {"ren\u00e9@example.com", "rene\u0301@example.com"},
    {"REN\u00c9@example.com", "rene\u0301@EXAMPLE.com"},
    {"jane@m\u00fcnchen.de", "jane@xn--mnchen-3ya.de"},
    {"jane@M\u00dcNCHEN.de", "JANE@XN--MNCHEN-3YA.DE"},
    {"jane@mu\u0308nchen.de", "jane@m\u00fcnchen.de"},
    {"\u0418\u0432\u0430\u043d@example.com", "\u0438\u0432\u0430\u043d@example.com"},
    {"\u039d\u0399\u039a\u039f\u03a3@example.com", "\u03bd\u03b9\u03ba\u03bf\u03c2@example.com"},
    {"WEI\u1e9e@example.com", "wei\u00df@example.com"},
    {"jane@\u4f8b\u3048.jp", "jane@xn--r8jz45g.jp"},
    {"jane@under_score.m\u00fcnchen.de", "JANE@UNDER_SCORE.M\u00dcNCHEN.DE"},
    {"A-\u00c4-7", "a-\u00e4-7"},
};

static const struct pair others[] = {
    {"ren\u00e9@example.com", "rene@example.com"},
    {"wei\u00df@example.com", "weiss@example.com"},
    {"j\u00fcrgen@example.com", "juergen@example.com"},
    {"jane@stra\u00dfe.de", "jane@strasse.de"},
    {"\u0131\u015f\u0131k@example.com", "i\u015fik@example.com"},
    {"\u0430nn@example.com", "ann@example.com"}, /* a Cyrillic a */
    {"\uff4aane@example.com", "jane@example.com"},
    {"jane@m\u00fcnchen.de", "jane@munchen.de"},
    {"\u00f8re@example.com", "ore@example.com"},
};

static void test_same(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(same); i++) {
        if (!fold_same(same[i].a, same[i].b) || !fold_same(same[i].b, same[i].a)) {
            fail_msg("%s and %s", same[i].a, same[i].b);
        }
    }
    assert_false(fold_same(NULL, "x"));
    assert_false(fold_same("x", NULL));
    assert_null(fold_text(NULL));
}

static void test_others(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        if (fold_same(others[i].a, others[i].b)) {
            fail_msg("%s and %s", others[i].a, others[i].b);
        }
    }
}

static void test_shown(void **state)
{
    (void)state;
    char *shown = fold_shown("Jane@xn--mnchen-3ya.de");
    assert_string_equal(shown, "Jane@m\u00fcnchen.de");
    free(shown);
    shown = fold_shown("no address");
    assert_string_equal(shown, "no address");
    free(shown);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same),
        cmocka_unit_test(test_others),
        cmocka_unit_test(test_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
