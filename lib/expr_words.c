#include "lib/expr_words.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"
#include "lib/nearest.h"

/* What ends, and whose output is bounded by its input: by itself in jq 1.6, or by what expr_prelude.c puts in its place. */
static const struct expr_word words[] = {
    {"IN", 1, 2, 1},
    {"INDEX", 1, 2, 2},
    {"add", 0, 0, 1},
    {"all", 0, 2, 1},
    {"any", 0, 2, 1},
    {"arrays", 0, 0, 1},
    {"ascii_downcase", 0, 0, 1},
    {"ascii_upcase", 0, 0, 1},
    {"booleans", 0, 0, 1},
    {"capture", 1, 1, 2},
    {"ceil", 0, 0, 1},
    {"contains", 1, 1, 1},
    {"del", 1, 1, 1},
    {"empty", 0, 0, 1},
    {"endswith", 1, 1, 1},
    {"error", 0, 1, 1},
    {"explode", 0, 0, 1},
    {"fabs", 0, 0, 1},
    {"false", 0, 0, 1},
    {"first", 0, 1, 1},
    {"flatten", 0, 1, 1},
    {"floor", 0, 0, 1},
    {"from_entries", 0, 0, 1},
    {"fromdate", 0, 0, 1},
    {"fromdateiso8601", 0, 0, 1},
    {"fromjson", 0, 0, 1},
    {"gmtime", 0, 0, 1},
    {"group_by", 1, 1, 1},
    {"gsub", 2, 2, 2},
    {"has", 1, 1, 1},
    {"implode", 0, 0, 1},
    {"in", 1, 1, 1},
    {"index", 1, 1, 1},
    {"indices", 1, 1, 1},
    {"inside", 1, 1, 1},
    {"isempty", 1, 1, 1},
    {"join", 1, 1, 2},
    {"keys", 0, 0, 1},
    {"keys_unsorted", 0, 0, 1},
    {"last", 0, 1, 1},
    {"length", 0, 0, 1},
    {"limit", 2, 2, 1},
    {"ltrim", 0, 0, 1},
    {"ltrimstr", 1, 1, 1},
    {"map", 1, 1, 1},
    {"map_values", 1, 1, 1},
    {"match", 1, 1, 2},
    {"max", 0, 0, 1},
    {"max_by", 1, 1, 1},
    {"min", 0, 0, 1},
    {"min_by", 1, 1, 1},
    {"mktime", 0, 0, 1},
    {"not", 0, 0, 1},
    {"null", 0, 0, 1},
    {"nulls", 0, 0, 1},
    {"numbers", 0, 0, 1},
    {"objects", 0, 0, 1},
    {"range", 1, 3, 2},
    {"reverse", 0, 0, 1},
    {"rindex", 1, 1, 1},
    {"round", 0, 0, 1},
    {"rtrim", 0, 0, 1},
    {"rtrimstr", 1, 1, 1},
    {"scalars", 0, 0, 1},
    {"scan", 1, 1, 2},
    {"select", 1, 1, 1},
    {"sort", 0, 0, 1},
    {"sort_by", 1, 1, 1},
    {"split", 1, 1, 1},
    {"splits", 1, 1, 1},
    {"startswith", 1, 1, 1},
    {"strftime", 1, 1, 1},
    {"strings", 0, 0, 1},
    {"strptime", 1, 1, 1},
    {"sub", 2, 2, 2},
    {"test", 1, 1, 1},
    {"to_entries", 0, 0, 2},
    {"todate", 0, 0, 1},
    {"todateiso8601", 0, 0, 1},
    {"tojson", 0, 0, 2},
    {"tonumber", 0, 0, 1},
    {"tostring", 0, 0, 2},
    {"trim", 0, 0, 1},
    {"true", 0, 0, 1},
    {"type", 0, 0, 1},
    {"unique", 0, 0, 1},
    {"unique_by", 1, 1, 1},
    {"utf8bytelength", 0, 0, 1},
    {"values", 0, 0, 1},
    {"with_entries", 1, 1, 2},
};

static const char *const formats[] = {"@base32", "@base64", "@base64d", "@csv",    "@html", "@json", "@md5",
                                      "@sh",     "@sha1",   "@sha256",  "@sha512", "@text", "@tsv",  "@uri"};

/* Those that jq 1.6 doesn't know. */
static const struct {
    const char *name;
    const char *call;
} digests[] = {
    {"@md5", "__digest(\"md5\")"},
    {"@sha1", "__digest(\"sha1\")"},
    {"@sha256", "__digest(\"sha256\")"},
    {"@sha512", "__digest(\"sha512\")"},
};

/* Words that jq knows, or that people look for, and that are refused on purpose. */
static const struct {
    const char *name;
    const char *instead;
} refused[] = {
    {"JOIN", "write INDEX(…) and .[$key]"},
    {"abs", "write fabs"},
    {"acos", NULL},
    {"acosh", NULL},
    {"ascii", "write implode or explode"},
    {"asin", NULL},
    {"asinh", NULL},
    {"atan", NULL},
    {"atan2", NULL},
    {"atanh", NULL},
    {"break", "write first(…) or limit(10; …)"},
    {"bsearch", "write index(…)"},
    {"builtins", NULL},
    {"cbrt", NULL},
    {"combinations", "write [.a[] as $x | .b[] as $y | [$x, $y]]"},
    {"concat", "write + or join(\"\")"},
    {"copysign", NULL},
    {"cos", NULL},
    {"cosh", NULL},
    {"count", "write length"},
    {"date", "write todate, or strftime(\"%Y-%m-%d\")"},
    {"dateadd", "dates are numbers of seconds: write fromdate + 86400"},
    {"datesub", "dates are numbers of seconds: write fromdate - 86400"},
    {"debug", "`offboard try` shows what an expression gives"},
    {"def", "write the expression out; `as $name |` keeps a value"},
    {"delpaths", "write del(.a.b, .c)"},
    {"drem", NULL},
    {"env", "an expression sees only its context; configuration is .settings"},
    {"erf", NULL},
    {"erfc", NULL},
    {"exp", NULL},
    {"exp10", NULL},
    {"exp2", NULL},
    {"expm1", NULL},
    {"fdim", NULL},
    {"filter", "write map(select(…))"},
    {"find", "write first(.[] | select(…))"},
    {"finites", "write numbers"},
    {"fma", NULL},
    {"fmax", "write [.a, .b] | max"},
    {"fmin", "write [.a, .b] | min"},
    {"fmod", "write %"},
    {"foreach", "write map(…), range(…) or group_by(…)"},
    {"format", "write @base64, @uri and their like"},
    {"frexp", NULL},
    {"fromstream", NULL},
    {"gamma", NULL},
    {"get_jq_origin", NULL},
    {"get_prog_origin", NULL},
    {"get_search_list", NULL},
    {"getpath", "write .a.b, .[0] or .[$name]"},
    {"halt", "write error(\"why\")"},
    {"halt_error", "write error(\"why\")"},
    {"hmac", "a signature is made by `auth: {signature: …}`"},
    {"hypot", NULL},
    {"import", NULL},
    {"include", NULL},
    {"includes", "write index(…) != null or contains(…)"},
    {"infinite", NULL},
    {"input", "an expression sees only its context"},
    {"input_filename", NULL},
    {"input_line_number", NULL},
    {"inputs", "an expression sees only its context"},
    {"isfinite", NULL},
    {"isinfinite", NULL},
    {"isnan", NULL},
    {"isnormal", NULL},
    {"iterables", "write arrays or objects"},
    {"j0", NULL},
    {"j1", NULL},
    {"jn", NULL},
    {"label", "write first(…) or limit(10; …)"},
    {"ldexp", NULL},
    {"leaf_paths", "write [.. | scalars]"},
    {"len", "write length"},
    {"lgamma", NULL},
    {"lgamma_r", NULL},
    {"localtime", "a machine's clock may be anywhere: write gmtime"},
    {"log", NULL},
    {"log10", NULL},
    {"log1p", NULL},
    {"log2", NULL},
    {"logb", NULL},
    {"lower", "write ascii_downcase"},
    {"lowercase", "write ascii_downcase"},
    {"md5", "write @md5"},
    {"modf", NULL},
    {"module", NULL},
    {"modulemeta", NULL},
    {"nan", NULL},
    {"nearbyint", "write round"},
    {"nextafter", NULL},
    {"nexttoward", NULL},
    {"normals", "write numbers"},
    {"now", "write .now"},
    {"nth", "write .[3]"},
    {"path", "write the path itself"},
    {"paths", "write [..] for the values, keys for the names"},
    {"pick", "write {a: .a, b: .b}"},
    {"pow", "write the product: .a * .a"},
    {"pow10", NULL},
    {"recurse", "write .. for every value within a value"},
    {"recurse_down", "write .. for every value within a value"},
    {"reduce", "write add, any, all, group_by, min_by or max_by, or from_entries"},
    {"remainder", "write %"},
    {"repeat", "write range(…), or \"text\" * 3"},
    {"replace", "write gsub(\"pattern\"; \"text\"), or split(\"a\") | join(\"b\")"},
    {"rint", "write round"},
    {"scalars_or_empty", "write scalars"},
    {"scalb", NULL},
    {"scalbln", NULL},
    {"setpath", "write . * {a: {b: 1}}"},
    {"sha1", "write @sha1"},
    {"sha256", "write @sha256"},
    {"sha512", "write @sha512"},
    {"significand", NULL},
    {"sin", NULL},
    {"sinh", NULL},
    {"sqrt", NULL},
    {"stderr", "`offboard try` shows what an expression gives"},
    {"strflocaltime", "a machine's clock may be anywhere: write strftime"},
    {"substr", "write .[0:3]"},
    {"substring", "write .[0:3]"},
    {"tan", NULL},
    {"tanh", NULL},
    {"tgamma", NULL},
    {"toarray", "write [.] or arrays"},
    {"tostream", NULL},
    {"transpose", "write [range(0; .[0] | length) as $i | map(.[$i])]"},
    {"trunc", "write floor or ceil"},
    {"truncate_stream", NULL},
    {"until", "write range(…), first(…) or limit(10; …)"},
    {"upper", "write ascii_upcase"},
    {"uppercase", "write ascii_upcase"},
    {"walk", "write .. for every value, map_values(…) for the members"},
    {"while", "write range(…), first(…) or limit(10; …)"},
    {"y0", NULL},
    {"y1", NULL},
    {"yn", NULL},
};

const struct expr_word *expr_words(size_t *count)
{
    *count = COUNT_OF(words);
    return words;
}

const char *const *expr_formats(size_t *count)
{
    *count = COUNT_OF(formats);
    return formats;
}

static const char *nearest_word(const char *wrong)
{
    const char *names[COUNT_OF(words)];
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        names[i] = words[i].name;
    }
    return nearest_name(wrong, names, COUNT_OF(words));
}

int expr_word_refuse(const char *name, struct err *err)
{
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        if (strcmp(refused[i].name, name) == 0) {
            const char *instead = refused[i].instead;
            return err_set(err, ERR_PERMANENT, "\"%s\" is not allowed in an expression%s%s", name, instead ? ": " : "",
                           instead ? instead : "");
        }
    }
    const char *near = nearest_word(name);
    return err_set(err, ERR_PERMANENT, "\"%s\" is no word of an expression%s%s%s", name,
                   near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

static int refuse_arguments(const struct expr_word *word, size_t arguments, struct err *err)
{
    static const char *const with_flags[] = {"capture", "gsub", "match", "scan", "splits", "sub", "test"};
    for (size_t i = 0; i < COUNT_OF(with_flags) && arguments == word->most + 1; i++) {
        if (strcmp(with_flags[i], word->name) == 0) {
            return err_set(err, ERR_PERMANENT, "%s takes no flags; begin the pattern with (?i), (?x) or (?s) instead",
                           word->name);
        }
    }
    if (strcmp(word->name, "split") == 0 && arguments == 2) {
        return err_set(err, ERR_PERMANENT, "split takes one argument, a plain text; write splits(…) for a pattern");
    }
    char *takes =
        word->least == word->most ? mem_printf("%u", word->most) : mem_printf("%u to %u", word->least, word->most);
    err_set(err, ERR_PERMANENT, "%s takes %s argument%s, not %zu", word->name, takes, word->most == 1 ? "" : "s",
            arguments);
    free(takes);
    return -1;
}

const struct expr_word *expr_word_find(const char *name, size_t arguments, struct err *err)
{
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (strcmp(words[i].name, name) != 0) {
            continue;
        }
        if (arguments >= words[i].least && arguments <= words[i].most) {
            return &words[i];
        }
        refuse_arguments(&words[i], arguments, err);
        return NULL;
    }
    expr_word_refuse(name, err);
    return NULL;
}

int expr_format_check(const char *name, struct err *err)
{
    for (size_t i = 0; i < COUNT_OF(formats); i++) {
        if (strcmp(formats[i], name) == 0) {
            return 0;
        }
    }
    size_t len = strlen(name);
    bool decodes = name[len - 1] == 'd'; /* nobody who decodes (@urid) wants the opposite */
    const char *near = decodes ? NULL : nearest_name(name, formats, COUNT_OF(formats));
    return err_set(err, ERR_PERMANENT, "there is no format \"%s\"%s%s%s", name, near ? "; did you mean \"" : "",
                   near ? near : "", near ? "\"?" : "");
}

const char *expr_format_call(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(digests); i++) {
        if (strcmp(digests[i].name, name) == 0) {
            return digests[i].call;
        }
    }
    return NULL;
}
