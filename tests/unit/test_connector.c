/* Connectors and sources: their vocabulary, and what is said about words that are wrong or not there yet. */
#include "tests/unit/definitions.h"

static void test_words_of_a_connector(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "connectors/words.yaml",
        "system: words\n"                                              /* 1 */
        "setings: {}\n"                                                /* 2 */
        "settings:\n"                                                  /* 3 */
        "  url: {required: true, default: x}\n"                        /* 4 */
        "  mode: {help: taken}\n"                                      /* 5 */
        "  token: {secrt: true}\n"                                     /* 6 */
        "auth: {basic: {user: me}, header: {A: b}}\n"                  /* 7 */
        "defs: {busy: {retry: \"${ true }\"}}\n"                       /* 8 */
        "limits:\n"                                                    /* 9 */
        "  default: {per_minute: 60, per_second: 1}\n"                 /* 10 */
        "  writes: {per_minute: 0}\n"                                  /* 11 */
        "retry_after: {}\n"                                            /* 12 */
        "check: {put: \"/x\", use: bussy}\n"                           /* 13 */
        "base: \"${ .settings.ulr }/api\"\n"                           /* 14 */
        "identify:\n"                                                  /* 15 */
        "  keys: [employee_id, emial]\n"                               /* 16 */
        "  requests:\n"                                                /* 17 */
        "    - {post: \"/search\", save: {user: \"${ .body.id }\"}}\n" /* 18 */
        "actions: {}\n");                                              /* 19 */
    load(fixture);
    assert_has(fixture, "words.yaml", 2, "there is no \"setings\" here; did you mean \"settings\"?");
    assert_has(fixture, "words.yaml", 4, "required and has a default");
    assert_has(fixture, "words.yaml", 5, "\"mode\" is there for every system already");
    assert_has(fixture, "words.yaml", 6, "did you mean \"secret\"?");
    assert_has(fixture, "words.yaml", 7, "\"password\" is missing");
    assert_has(fixture, "words.yaml", 7, "one way to authenticate");
    assert_has(fixture, "words.yaml", 13, "there is no snippet \"bussy\" under \"defs\"; did you mean \"busy\"?");
    assert_has(fixture, "words.yaml", 10, "not both");
    assert_has(fixture, "words.yaml", 11, "\"per_minute\" must be a whole number above 0");
    assert_has(fixture, "words.yaml", 12, "it needs \"seconds\"");
    assert_has(fixture, "words.yaml", 13, "this request may only read");
    assert_has(fixture, "words.yaml", 14, "there is no setting \"ulr\"; did you mean \"url\"?");
    assert_has(fixture, "words.yaml", 16,
               "there is no kind of key \"emial\", only employee_id and email; did you mean \"email\"?");
    assert_has(fixture, "words.yaml", 18, "this request may only read: get, head, or post with `changes: false`");
    assert_has(fixture, "words.yaml", 15, "no request says which accounts were \"found\"");
    assert_has(fixture, "words.yaml", 15, "accounts found by employee_id are taken without comparing");
    assert_count(fixture, 16);
}

/* What a snippet brings is for the requests that share it; what stands in the read-back itself would never be heard. */
static void test_words_of_a_read_back(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "connectors/looks.yaml",
        "system: looks\n"                                                                             /* 1 */
        "settings: {url: {required: true}}\n"                                                         /* 2 */
        "defs: {user: {get: \"/me\", missing: \"${ .status == 404 }\"}}\n"                            /* 3 */
        "actions:\n"                                                                                  /* 4 */
        "  off:\n"                                                                                    /* 5 */
        "    effect: revoke\n"                                                                        /* 6 */
        "    requests: [{post: \"/off\"}]\n"                                                          /* 7 */
        "    verify:\n"                                                                               /* 8 */
        "      - {use: user, expect: \"${ .body.off }\"}\n"                                           /* 9 */
        "      - {get: \"/me\", expect: \"${ .body.off }\", already: \"${ .body.was_off }\"}\n"       /* 10 */
        "  on:\n"                                                                                     /* 11 */
        "    effect: handover\n"                                                                      /* 12 */
        "    requests: [{post: \"/on\"}]\n"                                                           /* 13 */
        "    verify: {get: \"/me\", expect: \"${ .body.on }\", missing: \"${ .status == 404 }\"}\n"); /* 14 */
    load(fixture);
    assert_has(fixture, "looks.yaml", 10, "\"already\" means nothing in a read-back");
    assert_has(fixture, "looks.yaml", 14, "\"missing\" means nothing in a read-back");
    assert_count(fixture, 2);
}

static void test_words_of_auth(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "connectors/client.yaml",
        "system: client\n"                              /* 1 */
        "settings: {token: {secret: true}}\n"           /* 2 */
        "auth:\n"                                       /* 3 */
        "  client_credentials:\n"                       /* 4 */
        "    ulr: x\n"                                  /* 5 */
        "    id: \"${ .settings.tokn }\"\n"             /* 6 */
        "    secret: \"${ .user.email }\"\n"            /* 7 */
        "    style: from\n"                             /* 8 */
        "    scopes: [\"${ unknown_function }\", 5]\n"  /* 9 */
        "    params: {audience: [x]}\n"                 /* 10 */
        "actions:\n"                                    /* 11 */
        "  read:\n"                                     /* 12 */
        "    effect: notify\n"                          /* 13 */
        "    requests: [{get: /x, as: {subject: y}}]\n" /* 14 */
    );
    put(fixture, "connectors/service.yaml",
        "system: service\n"                                                                 /* 1 */
        "auth: {service_account: {subject: x, scope: [y]}}\n"                               /* 2 */
        "check: {get: /x, as: {}}\n"                                                        /* 3 */
        "actions:\n"                                                                        /* 4 */
        "  read:\n"                                                                         /* 5 */
        "    effect: notify\n"                                                              /* 6 */
        "    requests:\n"                                                                   /* 7 */
        "      - {get: /x, as: {user: x}}\n"                                                /* 8 */
        "      - {get: /x, as: {subject: \"${ .saved.none }\", scopes: [\"${ .itm }\"]}}\n" /* 9 */
        "      - {get: /x, as: {subject: \"${ .user.email }\", scopes: [a, b]}}\n"          /* 10 */
    );
    put(fixture, "connectors/room.yaml",
        "system: room\n"                   /* 1 */
        "auth: {acount_credentials: {}}\n" /* 2 */
        "actions: {}\n");                  /* 3 */
    put(fixture, "connectors/vendor.yaml",
        "system: vendor\n"                                          /* 1 */
        "auth: {account_credentials: {url: u, id: i, secret: s}}\n" /* 2 */
        "actions: {}\n");                                           /* 3 */
    load(fixture);
    assert_has(fixture, "client.yaml", 5, "there is no \"ulr\" here; did you mean \"url\"?");
    assert_has(fixture, "client.yaml", 4, "\"url\" is missing");
    assert_has(fixture, "client.yaml", 6, "there is no setting \"tokn\"; did you mean \"token\"?");
    assert_has(fixture, "client.yaml", 7, "credentials are made of .settings only, not of .user");
    assert_has(fixture, "client.yaml", 8, "\"style\" must be basic or form; did you mean \"form\"?");
    assert_has(fixture, "client.yaml", 9, "\"scopes\" must be a list of texts");
    assert_has(fixture, "client.yaml", 9, "unknown_function");
    assert_has(fixture, "client.yaml", 10, "\"audience\" must be a text");
    assert_has(fixture, "client.yaml", 14, "\"as\" needs `auth: {service_account: …}`");
    assert_has(fixture, "service.yaml", 2, "\"key\" is missing");
    assert_has(fixture, "service.yaml", 2, "there is no \"scope\" here; did you mean \"scopes\"?");
    assert_has(fixture, "service.yaml", 3, "it needs \"subject\", \"scopes\" or both");
    assert_has(fixture, "service.yaml", 8, "there is no \"user\" here");
    assert_has(fixture, "service.yaml", 9, "no request here saves \"none\"");
    assert_has(fixture, "service.yaml", 9, "there is no .itm here; did you mean \"item\"?");
    assert_has(fixture, "room.yaml", 2,
               "there is no \"acount_credentials\" here; did you mean \"account_credentials\"?");
    assert_has(fixture, "vendor.yaml", 2, "\"account\" is missing");
    assert_count(fixture, 18);
}

static void test_words_of_an_action(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "connectors/act.yaml",
        "system: act\n"                                                           /* 1 */
        "settings: {url: {required: true}}\n"                                     /* 2 */
        "actions:\n"                                                              /* 3 */
        "  effects:\n"                                                            /* 4 */
        "    effect: revok\n"                                                     /* 5 */
        "    requests: [{post: \"/x\"}]\n"                                        /* 6 */
        "    verify: {get: \"/x\"}\n"                                             /* 7 */
        "  unproven: {effect: destroy, requests: [{delete: \"/x\"}]}\n"           /* 8 */
        "  nobody: {effect: notify, accounts: all, undo: efects, requests: []}\n" /* 9 */
        "  later:\n"                                                              /* 10 */
        "    effect: notify\n"                                                    /* 11 */
        "    derive: {pin: {digits: 6, letters: 6}}\n"                            /* 12 */
        "    provides: [user.manager]\n"                                          /* 13 */
        "    before: {a: \"${ .body }\"}\n"                                       /* 14 */
        "    requests:\n"                                                         /* 15 */
        "      - {get: \"/a\", require: \"owner\"}\n"                             /* 16 */
        "      - {get: \"/b\", poll: {every: 1m}}\n"                              /* 17 */
        "      - {get: \"/c\", as: {subject: x}}\n"                               /* 18 */
        "      - {ldap: {search: x}, get: \"/d\"}\n"                              /* 19 */
        "  shapes:\n"                                                             /* 20 */
        "    effect: notify\n"                                                    /* 21 */
        "    with: {text: {requierd: true}}\n"                                    /* 22 */
        "    limit: slow\n"                                                       /* 23 */
        "    requests:\n"                                                         /* 24 */
        "      - {get: \"/a\", post: \"/b\"}\n"                                   /* 25 */
        "      - {json: {}}\n"                                                    /* 26 */
        "      - {post: \"a/b\", json: {}, form: {}}\n"                           /* 27 */
        "      - {get: \"/x\", pages: {}}\n"                                      /* 28 */
        "      - {get: \"/x\", pages: {query: {a: \"${ .body.n }\"}}}\n"          /* 29 */
        "      - {get: \"/x\", if: true, success: 200}\n"                         /* 30 */
        "      - {get: \"/x\", query: {q: \"${ .wth.text }\"}}\n"                 /* 31 */
        "      - {get: \"/${ .saved.id }\", query: {q: \"${ .with.txt }\"}}\n"    /* 32 */
        "      - \"text\"\n");                                                    /* 33 */
    load(fixture);
    assert_has(fixture, "act.yaml", 4,
               "\"effect\" must be identify, revoke, handover, destroy or notify; did you mean \"revoke\"?");
    assert_has(fixture, "act.yaml", 7, "\"expect\" is missing");
    assert_has(fixture, "act.yaml", 8, "nothing reads back");
    assert_has(fixture, "act.yaml", 9, "`accounts: all` needs \"identify\"");
    assert_has(fixture, "act.yaml", 9, "\"undo\": there is no action \"efects\"; did you mean \"effects\"?");
    assert_has(fixture, "act.yaml", 9, "at least one request");
    assert_has(fixture, "act.yaml", 12, "either \"digits\" or \"letters\"");
    assert_has(fixture, "act.yaml", 13, "\"user.manager\" is not among the action's \"outputs\"");
    assert_has(fixture, "act.yaml", 14, "nothing to put back");
    assert_has(fixture, "act.yaml", 16, "\"require\" must be an expression");
    assert_has(fixture, "act.yaml", 17, "\"until\" is missing");
    assert_has(fixture, "act.yaml", 18, "only a service account acts for others");
    assert_has(fixture, "act.yaml", 19, "a request has exactly one of");
    assert_has(fixture, "act.yaml", 22, "did you mean \"required\"?");
    assert_has(fixture, "act.yaml", 23, "there is no limit \"slow\"");
    assert_has(fixture, "act.yaml", 25, "a request has exactly one of");
    assert_has(fixture, "act.yaml", 26, "a request has exactly one of");
    assert_has(fixture, "act.yaml", 27, "a path begins with \"/\"");
    assert_has(fixture, "act.yaml", 27, "not both");
    assert_has(fixture, "act.yaml", 28, "needs either \"next\"");
    assert_has(fixture, "act.yaml", 29, "needs \"more\"");
    assert_has(fixture, "act.yaml", 30, "\"success\" must be an expression");
    assert_has(fixture, "act.yaml", 31, "there is no .wth here; did you mean \"with\"?");
    assert_has(fixture, "act.yaml", 32, "no request here saves \"id\"");
    assert_has(fixture, "act.yaml", 32, "there is no parameter \"txt\"; did you mean \"text\"?");
    assert_has(fixture, "act.yaml", 33, "this must be a map");
    assert_count(fixture, 27);
}

/* Secrets that are found again. */
static void test_escrow(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "connectors/lock.yaml",
        "system: lock\n"                                                      /* 1 */
        "settings: {url: {required: true}}\n"                                 /* 2 */
        "actions:\n"                                                          /* 3 */
        "  good:\n"                                                           /* 4 */
        "    effect: revoke\n"                                                /* 5 */
        "    unverified: nothing is shown\n"                                  /* 6 */
        "    derive: {pin: {digits: 6}}\n"                                    /* 7 */
        "    escrow: {pin: \"${ .derived.pin }\"}\n"                          /* 8 */
        "    requests: [{post: /lock, json: {pin: \"${ .derived.pin }\"}}]\n" /* 9 */
        "  bad:\n"                                                            /* 10 */
        "    effect: identify\n"                                              /* 11 */
        "    escrow:\n"                                                       /* 12 */
        "      pin: \"${ .derived.pn }\"\n"                                   /* 13 */
        "      list: [1]\n"                                                   /* 14 */
        "    requests: [{get: /lock}]\n");                                    /* 15 */
    load(fixture);
    assert_has(fixture, "lock.yaml", 12, "an action whose effect is identify sets no secret");
    assert_has(fixture, "lock.yaml", 12, "\"list\" must be an expression");
    assert_has(fixture, "lock.yaml", 13, "nothing here derives \"pn\"");
    assert_count(fixture, 3);
}

/* A mail in place of a method. */
static void test_mail(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "connectors/post.yaml",
        "system: post\n"                                                                                     /* 1 */
        "settings: {url: {required: true}}\n"                                                                /* 2 */
        "check: {mail: {}}\n"                                                                                /* 3 */
        "actions:\n"                                                                                         /* 4 */
        "  good:\n"                                                                                          /* 5 */
        "    effect: notify\n"                                                                               /* 6 */
        "    requests:\n"                                                                                    /* 7 */
        "      - {mail: {to: \"${ .user.email }\", cc: [a@b], subject: x, text: y, headers: {X-A: b}}}\n"    /* 8 */
        "      - {mail: {to: [], subject: x, text: y, message_id: \"${ .item }\"}, for_each: \"${ [] }\"}\n" /* 9 */
        "  bad:\n"                                                                                           /* 10 */
        "    effect: notify\n"                                                                               /* 11 */
        "    requests:\n"                                                                                    /* 12 */
        "      - {mail: {}}\n"                                                                               /* 13 */
        "      - {mail: {to: a, subject: x, txt: y}}\n"                                                      /* 14 */
        "      - {mail: {to: a, subject: \"${ .usr.name }\", text: y}}\n"                                    /* 15 */
        "      - {mail: {to: a, subject: x, text: y}, headers: {A: b}}\n"                                    /* 16 */
        "      - {mail: {to: a, subject: x, text: y}, for_each: \"${ [] }\"}\n"                              /* 17 */
        "      - {mail: {to: a, subject: x, text: y}, post: /x}\n"                                           /* 18 */
        "    verify: {mail: {to: a, subject: x, text: y}, expect: \"${ true }\"}\n");                        /* 19 */
    put(fixture, "connectors/unchecked.yaml",
        "system: unchecked\n"                                                                  /* 1 */
        "auth: {header: {Authorization: x}}\n"                                                 /* 2 */
        "actions: {a: {effect: notify, requests: [{mail: {to: a, subject: x, text: y}}]}}\n"); /* 3 */
    load(fixture);
    assert_has(fixture, "post.yaml", 13, "\"to\" is missing");
    assert_has(fixture, "post.yaml", 13, "\"subject\" is missing");
    assert_has(fixture, "post.yaml", 13, "\"text\" is missing");
    assert_has(fixture, "post.yaml", 14, "did you mean \"text\"?");
    assert_has(fixture, "post.yaml", 14, "\"text\" is missing");
    assert_has(fixture, "post.yaml", 15, "there is no .usr here");
    assert_has(fixture, "post.yaml", 16, "has no \"headers\"");
    assert_has(fixture, "post.yaml", 17, "its own `message_id`");
    assert_has(fixture, "post.yaml", 18, "a request has exactly one of");
    assert_has(fixture, "post.yaml", 19, "no mail is sent by what only reads");
    assert_has(fixture, "unchecked.yaml", 3, "needs `check: {mail: {}}`");
    assert_has(fixture, "unchecked.yaml", 3, "`auth: {basic: …}` only");
    assert_count(fixture, 13);
}

/* A directory in place of a method. */
static void test_ldap(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "connectors/dir.yaml",
        "system: dir\n"                                                                          /* 1 */
        "settings: {url: {required: true}}\n"                                                    /* 2 */
        "check: {ldap: {search: {base: \"\", scope: base}}}\n"                                   /* 3 */
        "actions:\n"                                                                             /* 4 */
        "  good:\n"                                                                              /* 5 */
        "    effect: notify\n"                                                                   /* 6 */
        "    requests:\n"                                                                        /* 7 */
        "      - {ldap: {search: {base: x, filter: \"(a=${ .user.email })\", hex: [a]}}}\n"      /* 8 */
        "      - {ldap: {modify: {dn: x, replace: {a: null}, add: {b: 1}, delete: {c: [d]}}}}\n" /* 9 */
        "      - {ldap: {rename: {dn: x, newrdn: a=b}}, blocked: \"${ .status == 68 }\"}\n"      /* 10 */
        "    verify: {ldap: {search: {base: x}}, expect: \"${ .body == [] }\"}\n"                /* 11 */
        "  bad:\n"                                                                               /* 12 */
        "    effect: notify\n"                                                                   /* 13 */
        "    requests:\n"                                                                        /* 14 */
        "      - {ldap: {}}\n"                                                                   /* 15 */
        "      - {ldap: {serch: {base: x}}}\n"                                                   /* 16 */
        "      - {ldap: {search: {scope: all, base: x}}}\n"                                      /* 17 */
        "      - {ldap: {modify: {dn: x, replace: {}}}}\n"                                       /* 18 */
        "      - {ldap: {rename: {dn: x}}}\n"                                                    /* 19 */
        "      - {ldap: {search: {base: \"${ .usr }\"}}, query: {a: b}}\n"                       /* 20 */
        "      - {ldap: {modify: {dn: x, replace: {a: \"${ .with.b }\"}}}, post: /x}\n"          /* 21 */
        "    verify: {ldap: {modify: {dn: x, add: {a: b}}}, expect: \"${ true }\"}\n");          /* 22 */
    put(fixture, "connectors/unchecked.yaml",
        "system: unchecked\n"                                                         /* 1 */
        "auth: {header: {Authorization: x}}\n"                                        /* 2 */
        "actions: {a: {effect: notify, requests: [{ldap: {search: {base: x}}}]}}\n"); /* 3 */
    load(fixture);
    assert_has(fixture, "dir.yaml", 15, "exactly one of search, modify, rename and delete");
    assert_has(fixture, "dir.yaml", 16, "did you mean \"search\"?");
    assert_has(fixture, "dir.yaml", 17, "\"scope\" must be sub, one or base");
    assert_has(fixture, "dir.yaml", 18, "\"modify\" changes nothing");
    assert_has(fixture, "dir.yaml", 19, "\"rename\" changes nothing");
    assert_has(fixture, "dir.yaml", 20, "there is no .usr here");
    assert_has(fixture, "dir.yaml", 20, "has no \"query\"");
    assert_has(fixture, "dir.yaml", 21, "a request has exactly one of");
    assert_has(fixture, "dir.yaml", 21, "there is no parameter \"b\"");
    assert_has(fixture, "dir.yaml", 22, "this request may only read: ldap with \"search\"");
    assert_has(fixture, "unchecked.yaml", 3, "needs a `check` with \"ldap\"");
    assert_has(fixture, "unchecked.yaml", 3, "`auth: {basic: …}` only");
    assert_has(fixture, "dir.yaml", 5, "2 requests change something: does \"verify\" show the effect of each?");
    assert_count(fixture, 14);
}

/* A `once` action says how an earlier call is recognised, and how long the vendor's search may lag. */
static void test_once(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "connectors/once.yaml",
        "system: once\n"                                                                                  /* 1 */
        "settings: {url: {required: true}, settle: {default: 2m}}\n"                                      /* 2 */
        "actions:\n"                                                                                      /* 3 */
        "  blind: {effect: notify, once: true, requests: [{post: \"/x\"}]}\n"                             /* 4 */
        "  loose:\n"                                                                                      /* 5 */
        "    effect: notify\n"                                                                            /* 6 */
        "    requests:\n"                                                                                 /* 7 */
        "      - {post: \"/x\", find: {get: \"/x\", expect: \"${ true }\"}}\n"                            /* 8 */
        "  slow:\n"                                                                                       /* 9 */
        "    effect: notify\n"                                                                            /* 10 */
        "    once: true\n"                                                                                /* 11 */
        "    settle: 1h\n"                                                                                /* 12 */
        "    requests:\n"                                                                                 /* 13 */
        "      - {post: \"/x\", for_each: \"${ .ids.a }\", find: {get: \"/x\", expect: \"${ true }\"}}\n" /* 14 */
        "      - {post: \"/y\", find: {post: \"/find\"}}\n"                                               /* 15 */
        "  right:\n"                                                                                      /* 16 */
        "    effect: notify\n"                                                                            /* 17 */
        "    once: true\n"                                                                                /* 18 */
        "    settle: \"${ .settings.settle }\"\n"                                                         /* 19 */
        "    requests:\n"                                                                                 /* 20 */
        "      - post: \"/x\"\n"                                                                          /* 21 */
        "        save: {id: \"${ .body.id }\"}\n"                                                         /* 22 */
        "        find: {post: \"/find\", changes: false, expect: \"${ .body.n > 0 }\", save: {id: \"${ .body.x }\"}}\n"
        "    outputs: {id: \"${ .saved.id }\"}\n");
    load(fixture);
    assert_has(fixture, "once.yaml", 4, "how is an earlier call recognised?");
    assert_has(fixture, "once.yaml", 5, "belongs to an action marked `once: true`");
    assert_has(fixture, "once.yaml", 9, "\"settle\" is at most 10m");
    assert_has(fixture, "once.yaml", 14, "no \"for_each\", no \"pages\"");
    assert_has(fixture, "once.yaml", 15, "\"expect\" is missing");
    assert_has(fixture, "once.yaml", 15, "this request may only read");
    assert_count(fixture, 6);
}

/* What is secret is saved by that request, and goes nowhere else. */
/* These are read as they stand; an expression in their place would be no duration when it is needed. */
static void test_durations_are_plain(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "connectors/times.yaml",
        "system: times\n"                                                                     /* 1 */
        "settings: {url: {required: true}, time: {default: 10s}}\n"                           /* 2 */
        "actions:\n"                                                                          /* 3 */
        "  look:\n"                                                                           /* 4 */
        "    effect: revoke\n"                                                                /* 5 */
        "    accounts: none\n"                                                                /* 6 */
        "    requests:\n"                                                                     /* 7 */
        "      - {post: /x, timeout: \"${ .settings.time }\"}\n"                              /* 8 */
        "      - get: /x\n"                                                                   /* 9 */
        "        poll: {every: \"${ .settings.time }\", timeout: 1h, until: \"${ true }\"}\n" /* 10 */
        "    verify: {get: /x, expect: \"${ true }\", within: \"${ .settings.time }\"}\n"     /* 11 */
        "  tell:\n"                                                                           /* 12 */
        "    effect: notify\n"                                                                /* 13 */
        "    accounts: none\n"                                                                /* 14 */
        "    once: true\n"                                                                    /* 15 */
        "    settle: \"${ .with.lag }\"\n"                                                    /* 16 */
        "    with: {lag: {default: 2m}}\n"                                                    /* 17 */
        "    requests: [{post: /x, find: {get: /x, expect: \"${ true }\"}}]\n");              /* 18 */
    load(fixture);
    assert_has(fixture, "times.yaml", 8, "\"timeout\": \"${ .settings.time }\" is no duration");
    assert_has(fixture, "times.yaml", 10, "\"every\": \"${ .settings.time }\" is no duration");
    assert_has(fixture, "times.yaml", 11, "\"within\": \"${ .settings.time }\" is no duration");
    assert_has(fixture, "times.yaml", 12, "\"settle\" is made of .settings only, not of .with.lag");
    assert_count(fixture, 4);
}

static void test_secret(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "connectors/box.yaml",
        "system: box\n"
        "settings: {url: {required: true}}\n"
        "actions:\n"
        "  ship:\n"
        "    effect: destroy\n"
        "    unverified: boxes can't be looked up\n"
        "    before: {home: \"${ .saved.home }\"}\n"
        "    requests:\n"
        "      - {get: \"/home\", save: {home: \"${ .body }\", id: \"${ .body.id }\"}, secret: [hoem, home]}\n"
        "      - {get: \"/map\", query: {of: \"${ .saved.home.town }\"}, save: {near: \"${ .saved.home.town }\"}}\n"
        "      - {post: \"/box\", for_each: \"${ .saved.home.rooms }\", json: {to: \"${ .saved.home }\"}}\n"
        "    outputs:\n"
        "      id: \"${ .saved.id }\"\n"
        "      to: \"${ .saved.home.town }\"\n");
    load(fixture);
    assert_has(fixture, "box.yaml", 7, "\"home\" is secret");
    assert_has(fixture, "box.yaml", 9, "this request does not save \"hoem\"; did you mean \"home\"?");
    assert_has(fixture, "box.yaml", 10, "\"home\" is secret");
    assert_has(fixture, "box.yaml", 11, "\"home\" is secret");
    assert_has(fixture, "box.yaml", 14, "\"home\" is secret");
    assert_count(fixture, 5);
}

/* ---- sources -------------------------------------------------------------------------------------------------------------- */

static void test_words_of_a_source(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "sources/hr.yaml",
        "source: hr\n"                                     /* 1 */
        "types:\n"                                         /* 2 */
        "  hr.left: strat\n"                               /* 3 */
        "  leaver.created: start\n"                        /* 4 */
        "criteria:\n"                                      /* 5 */
        "  employee: yes\n"                                /* 6 */
        "  site: \"${ .data.site | unknown_function }\"\n" /* 7 */
        "guarantees: [manager]\n"                          /* 8 */
        "poll: {}\n"                                       /* 9 */
        "map:\n"                                           /* 10 */
        "  user:\n"                                        /* 11 */
        "    name: \"${ .data.name }\"\n"                  /* 12 */
        "    homeAddress: \"${ .data.address }\"\n"        /* 13 */
        "    manager:\n"                                   /* 14 */
        "      email: \"${ .data.boss }\"\n"               /* 15 */
        "      mobile: \"${ .data.boss_mobile }\"\n"       /* 16 */
        "  runbook: scim-leever\n"                         /* 17 */
        "  priority: urgend\n"                             /* 18 */
        "  mode: dry\n"                                    /* 19 */
        "  zone: Europe/Berlim\n"                          /* 20 */
        "  efective_at: \"${ .data.day }\"\n");            /* 21 */
    load(fixture);
    assert_has(fixture, "hr.yaml", 3, "\"hr.left\" must be start, change, cancel or rehire; did you mean \"start\"?");
    assert_has(fixture, "hr.yaml", 6, "criterion \"employee\" must be an expression");
    assert_has(fixture, "hr.yaml", 7, "unknown_function");
    assert_has(fixture, "hr.yaml", 8, "a guarantee names a member of user");
    assert_has(fixture, "hr.yaml", 9, "\"every\" is missing");
    assert_has(fixture, "hr.yaml", 9, "\"type\" is missing: which of the source's types has an item?");
    assert_has(fixture, "hr.yaml", 11, "\"user\" needs email or employee_id");
    assert_has(fixture, "hr.yaml", 13, "\"homeAddress\" never travels in events");
    assert_has(fixture, "hr.yaml", 16, "\"mobile\" never travels in events");
    assert_has(fixture, "hr.yaml", 17, "there is no runbook \"scim-leever\"; did you mean \"scim-leaver\"?");
    assert_has(fixture, "hr.yaml", 18, "did you mean \"urgent\"?");
    assert_has(fixture, "hr.yaml", 19, "\"mode\" must be live or dry_run");
    assert_has(fixture, "hr.yaml", 20, "there is no time zone \"Europe/Berlim\"");
    assert_has(fixture, "hr.yaml", 21, "did you mean \"effective_at\"?");
    assert_has(fixture, "cloudevents.yaml", 19, "type \"leaver.created\" is taken by source \"hr\" already");
    assert_count(fixture, 19);
}

static void test_minimal_source(void **state)
{
    struct fixture *fixture = *state;
    put(fixture, "sources/one.yaml",
        "source: one\ntypes: {one.left: start}\nmap: {user: \"${ .data }\", runbook: scim-leaver}\n");
    put(fixture, "sources/two.yaml", "source: two\ntypes: {}\nmap: {user: someone}\n");
    load(fixture);
    assert_has(fixture, "two.yaml", 2, "at least one type");
    assert_has(fixture, "two.yaml", 3, "an expression in quotes that yields one");
    assert_count(fixture, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_words_of_a_connector, definitions_setup, definitions_teardown),
        cmocka_unit_test_setup_teardown(test_words_of_a_read_back, definitions_setup, definitions_teardown),
        cmocka_unit_test_setup_teardown(test_words_of_auth, definitions_setup, definitions_teardown),
        cmocka_unit_test_setup_teardown(test_words_of_an_action, definitions_setup, definitions_teardown),
        cmocka_unit_test_setup_teardown(test_ldap, definitions_setup, definitions_teardown),
        cmocka_unit_test_setup_teardown(test_escrow, definitions_setup, definitions_teardown),
        cmocka_unit_test_setup_teardown(test_secret, definitions_setup, definitions_teardown),
        cmocka_unit_test_setup_teardown(test_mail, definitions_setup, definitions_teardown),
        cmocka_unit_test_setup_teardown(test_once, definitions_setup, definitions_teardown),
        cmocka_unit_test_setup_teardown(test_durations_are_plain, definitions_setup, definitions_teardown),
        cmocka_unit_test_setup_teardown(test_words_of_a_source, definitions_setup, definitions_teardown),
        cmocka_unit_test_setup_teardown(test_minimal_source, definitions_setup, definitions_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
