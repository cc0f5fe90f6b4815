#include "lib/expr_prelude.h"

/* Of a limit that says "too long", the rule is: what passes takes at most about a second and 256 MiB.
 *
 * An operator is a call of a function: a + b is _plus(a; b), which gives a result for each b and, within, for each a. */
const char expr_prelude[] =
    /* --- what the parser puts in (expr_guard.c) --- */
    "def __fits: debug; "
    "def __digest($name): if type == \"string\" then {__digest: $name, text: .} | debug | input else "
    "error(\"a digest is made of a text\") end; "
    "def __key: if type == \"array\" then error(\"the place of a list within a list is index(…)\") else . end; "

    /* --- jq's own, before they are replaced --- */
    "def __strftime($f): strftime($f); def __index($i): index($i); def __rindex($i): rindex($i); "
    "def __indices($i): indices($i); def __test($re): test($re); def __match($re): match($re); "
    "def __matches($re): match($re; \"g\"); def __capture($re): capture($re); def __sub($re; f): sub($re; f); "
    "def __ltrimstr($t): ltrimstr($t); def __rtrimstr($t): rtrimstr($t); def __range($from; $to): range($from; $to); "
    "def __minus($a; $b): $a - $b; def __times($a; $b): $a * $b; def __over($a; $b): $a / $b; "
    "def __mod($a; $b): $a % $b; def __contains($b): contains($b); def __limit($n; f): limit($n; f); "
    "def __tonumber: tonumber; def __fromjson: fromjson; def __explode: explode; def __split($t): split($t); "
    "def __strptime($f): strptime($f); def __sort_by(f): sort_by(f); "
    "def __group_by(f): group_by(f); def __unique_by(f): unique_by(f); "

    /* --- limits --- */
    "def __text: if type == \"string\" then . else error(\"a pattern or format must be a text\") end; "
    "def __pattern: __text | if utf8bytelength > 1000 then error(\"the pattern is longer than 1000 bytes\") else . "
    "end; "
    "def __short($name; $max): if type == \"string\" and utf8bytelength > $max then "
    "error($name + \": the text is longer than \" + ($max | tostring) + \" bytes\") else . end; "

    "def __sortable: if type == \"array\" and length > 500000 then error(\"a list of more than 500000 can't be "
    "sorted\") "
    "else . end; "

    /* --- arithmetic --- */
    /* the list without those of the other is looked for one by one */
    "def _minus(a; b): b as $b | a as $a | if ($a | type) == \"array\" and ($b | type) == \"array\" and "
    "($a | length) * ($b | length) > 20000000 then error(\"the lists are too long to be subtracted\") else "
    "__minus($a; $b) end; "
    "def __times_text($t; $n): if $n * ($t | utf8bytelength) > 1000000 then "
    "error(\"the text would be longer than 1000000 bytes\") else __times($t; $n) end; "
    "def _multiply(a; b): b as $b | a as $a | ($a | type) as $ta | ($b | type) as $tb | "
    "if $ta == \"string\" and $tb == \"number\" then __times_text($a; $b) "
    "elif $ta == \"number\" and $tb == \"string\" then __times_text($b; $a) else __times($a; $b) end; "
    "def _divide(a; b): b as $b | a as $a | __over($a | __short(\"/\"; 4194304); $b); "
    /* the smallest integer and -1 end the process */
    "def __integer: if type != \"number\" or (. > -1e15 and . < 1e15) then . else "
    "error(\"the number is too large for %\") end; "
    "def _mod(a; b): b as $b | a as $a | __mod($a | __integer; $b | __integer); "
    "def tonumber: __short(\"tonumber\"; 400) | __tonumber | if . == . then . else error(\"not a number\") end; "

    /* --- ranges --- */
    "def range($from; $to; $by): if [$from, $to, $by | type == \"number\"] | all | not then "
    "error(\"range takes numbers\") elif $by == 0 then error(\"range can't go on by 0\") "
    "else (($to - $from) / $by) as $n | if $n > 100000 then error(\"a range of more than 100000 numbers\") else "
    "__range(0; $n) | $from + . * $by end end; "
    "def range($from; $to): range($from; $to; 1); def range($to): range(0; $to; 1); "
    "def limit($n; f): if $n <= 0 then empty else __limit($n; f) end; "

    /* --- lists and objects --- */
    "def join($t): if $t | type != \"string\" then error(\"join takes a text\") else "
    "[.[] | if type == \"string\" then . elif . == null then \"\" elif type == \"array\" or type == \"object\" then "
    "error(\"join: a list holds a list or an object\") else tojson end] | [.[0], (.[1:][] | $t, .)] | add // \"\" end; "
    "def map_values(f): if type == \"array\" then [.[] | first(f)] else "
    "reduce keys_unsorted[] as $k (.; .[$k] as $v | ([$v | first(f)]) as $r | "
    "if ($r | length) == 0 then delpaths([[$k]]) else setpath([$k]; $r[0]) end) end; "
    "def sort_by(f): __sortable | __sort_by(f); def sort: sort_by(.); def group_by(f): __sortable | __group_by(f); "
    "def unique_by(f): __sortable | __unique_by(f); def unique: unique_by(.); "
    "def INDEX(stream; f): reduce stream as $row ({}; . + {($row | f | tostring): $row}); "
    "def INDEX(f): INDEX(.[]; f); "
    "def del(f): reduce ([path(f)] | unique | reverse[]) as $path (.; delpaths([$path])); "
    "def __holds($b): type as $t | if $t != ($b | type) then false "
    "elif $t == \"object\" then . as $a | all($b | keys_unsorted[]; . as $k | $a | has($k) and (.[$k] | "
    "__holds($b[$k]))) "
    "elif $t == \"array\" then . as $a | all($b[]; . as $y | any($a[]; __holds($y))) else __contains($b) end; "
    "def contains($b): if type == ($b | type) then __holds($b) else __contains($b) end; "
    "def inside($b): . as $a | $b | contains($a); "

    /* --- places --- */
    /* Those of a text are bytes in jq 1.6; slices count characters. An empty text is found for ever; places in lists leak. */
    "def __places($i): . as $in | if ($i | type) != \"array\" then [__range(0; length) | select($in[.] == $i)] "
    "elif $i == [] then null else [__range(0; length) | select($in[.:(. + ($i | length))] == $i)] end; "
    "def __narrow: utf8bytelength == length; "
    "def __split_places($i): ($i | length) as $n | [split($i)[:-1] | .[] | length] | "
    "[foreach .[] as $l (-$n; . + $l + $n; .)]; "
    "def indices($i): if type == \"array\" then __places($i) elif $i == \"\" then null "
    "elif type != \"string\" or ($i | type) != \"string\" then __indices($i) "
    "else __short(\"index\"; 4194304) | if __narrow then __indices($i) else __split_places($i) end end; "
    "def index($i): if type == \"string\" and $i == \"\" then null else indices($i) | .[0] end; "
    "def rindex($i): if type == \"string\" and $i == \"\" then null else indices($i) | .[-1:] | .[0] end; "

    /* --- texts --- */
    "def ltrimstr($t): if type == \"string\" and ($t | type) == \"string\" then __ltrimstr($t) else . end; "
    "def rtrimstr($t): if type == \"string\" and ($t | type) == \"string\" then __rtrimstr($t) else . end; "
    "def explode: __short(\"explode\"; 4194304) | __explode; "
    "def split($t): __short(\"split\"; 4194304) | __split($t); "
    "def fromjson: __short(\"fromjson\"; 1048576) | __fromjson | __fits; "
    /* --- times --- */
    /* numbers no calendar knows, and formats that are no text, trip an assertion; a long format overflows the stack */
    "def __time_format: __text | __short(\"the format of a time\"; 200); "
    "def strftime($f): if type == \"number\" and (. < -1e12 or . > 1e12) then error(\"no such time\") "
    "else __strftime($f | __time_format) end; "
    "def strptime($f): __short(\"strptime\"; 1000) | __strptime($f | __time_format); "
    "def todate: strftime(\"%Y-%m-%dT%H:%M:%SZ\"); def todateiso8601: todate; "

    /* --- patterns --- */
    /* A list given as pattern brings flags. Every match of one that matches nothing is sought for ever. */
    "def test($re): __test($re | __pattern); def match($re): __match($re | __pattern); "
    "def capture($re): __capture($re | __pattern); def sub($re; f): __sub($re | __pattern; f); "
    "def __all($re): ($re | __pattern) as $re | if type != \"string\" then error(\"a pattern is sought in a text\") "
    "else "
    "__short(\"every match of a pattern\"; 32768) | "
    "[if . == \"\" then __match($re) else __matches($re) end] | if any(.[]; .length == 0) then "
    "error(\"the pattern matches an empty text (as \\\"x*\\\" does): there would be no end; write \\\"x+\\\"\") "
    "else . end end; "
    "def __pieces($matches): . as $in | [0, ($matches[] | .offset + .length)] as $from | "
    "[__range(0; $from | length) as $i | $in[$from[$i]:$matches[$i].offset]]; "
    "def scan($re): __all($re)[] | if (.captures | length) > 0 then [.captures[].string] else .string end; "
    "def splits($re): __pieces(__all($re))[]; "
    "def __replacement(f): [[.captures[] | select(.name != null) | {key: .name, value: .string}] | from_entries | f] | "
    "if length == 1 and (.[0] | type) == \"string\" then .[0] else error(\"gsub replaces by one text\") end; "
    "def gsub($re; f): __all($re) as $m | __pieces($m) as $p | "
    "[$p[0], (__range(0; $m | length) as $i | ($m[$i] | __replacement(f)), $p[$i + 1])] | add; "
    /* jq takes no fractions of a second, which `.now` has */
    "def fromdateiso8601: if type == \"string\" then sub(\"[.][0-9]+Z$\"; \"Z\") else . end | "
    "strptime(\"%Y-%m-%dT%H:%M:%SZ\") | mktime; def fromdate: fromdateiso8601; "
    "def ltrim: sub(\"^\\\\s+\"; \"\"); def rtrim: sub(\"\\\\s+$\"; \"\"); def trim: ltrim | rtrim; ";
