#include "lib/expr_pattern.h"

#include <oniguruma.h>
#include <string.h>

enum {
    DEPTH_MAX = 250,
    RETRIES_MAX = 1000000,           /* for one place where a match may begin: some 20 ms */
    RETRIES_IN_SEARCH_MAX = 10000000 /* for all of them: some 200 ms */
};

void expr_pattern_limit(void)
{
    onig_set_parse_depth_limit(DEPTH_MAX);
    onig_set_retry_limit_in_match(RETRIES_MAX);
    onig_set_retry_limit_in_search(RETRIES_IN_SEARCH_MAX);
}

int expr_pattern_check(const json_t *pattern, struct err *err)
{
    if (!json_is_string(pattern)) {
        return err_set(err, ERR_PERMANENT, "a pattern must be a text");
    }
    const OnigUChar *text = (const OnigUChar *)json_string_value(pattern);
    size_t len = json_string_length(pattern);
    if (len > EXPR_PATTERN_MAX) {
        return err_set(err, ERR_PERMANENT, "the pattern is longer than %d bytes", EXPR_PATTERN_MAX);
    }
    regex_t *regex;
    OnigErrorInfo info;
    expr_pattern_limit();
    int code =
        onig_new(&regex, text, text + len, ONIG_OPTION_CAPTURE_GROUP, ONIG_ENCODING_UTF8, ONIG_SYNTAX_PERL_NG, &info);
    if (code != ONIG_NORMAL) {
        OnigUChar why[ONIG_MAX_ERROR_MESSAGE_LEN];
        onig_error_code_to_str(why, code, &info);
        return err_set(err, ERR_PERMANENT, "the pattern \"%s\" is not valid: %s", (const char *)text,
                       (const char *)why);
    }
    onig_free(regex);
    return 0;
}
