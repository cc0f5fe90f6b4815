#include "lib/settings_check.h"

#include <stdlib.h>
#include <string.h>

#include "lib/address.h"
#include "lib/json.h"
#include "lib/mem.h"
#include "lib/nearest.h"

/* Every system has these. */
static const char *const of_every_system[] = {"ca_file", "expires", "mode"};

struct checking {
    const struct definitions *definitions;
    const struct conf *conf;
    enum definition_kind kind;
    const char *only;
    struct err *err;
    int result;
};

static bool common(const struct checking *checking, const char *setting)
{
    bool found = false;
    for (size_t i = 0; checking->kind == DEFINITION_CONNECTOR && i < COUNT_OF(of_every_system); i++) {
        found = found || strcmp(of_every_system[i], setting) == 0;
    }
    return found;
}

static const char *nearest_setting(const struct checking *checking, const json_t *declared, const char *setting)
{
    const char **names = mem_alloc((json_object_size(declared) + COUNT_OF(of_every_system)) * sizeof *names);
    size_t count = 0;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)declared, key, value)
    {
        names[count++] = key;
    }
    for (size_t i = 0; checking->kind == DEFINITION_CONNECTOR && i < COUNT_OF(of_every_system); i++) {
        names[count++] = of_every_system[i];
    }
    const char *near = nearest_name(setting, names, count);
    free(names);
    return near;
}

/* By its name, a setting is the address of a system. */
static bool is_address(const char *setting)
{
    size_t len = strlen(setting);
    return strcmp(setting, "url") == 0 || (len > 4 && strcmp(setting + len - 4, "_url") == 0);
}

static void check_address(struct checking *checking, const char *name, const char *setting, const json_t *declared)
{
    const char *value = conf_system_setting(checking->conf, name, setting);
    const char *fault = value ? address_fault(value, json_true_at(declared, "whole")) : NULL;
    if (fault) {
        checking->result =
            err_set(checking->err, ERR_FATAL, "systems.%s.%s is no usable address: %s", name, setting, fault);
    }
}

static void check(const char *name, const char *setting, void *arg)
{
    struct checking *checking = arg;
    bool system = checking->kind == DEFINITION_CONNECTOR;
    const struct definition *definition = definition_find(checking->definitions, checking->kind, name);
    const json_t *declared = definition ? json_object_get(definition->tree, "settings") : NULL;
    if (checking->result != 0 || (checking->only && strcmp(checking->only, name) != 0)) {
        return;
    }
    if (system && json_object_get(declared, setting) && is_address(setting)) {
        check_address(checking, name, setting, json_object_get(declared, setting));
    }
    if (json_object_get(declared, setting) || (definition && common(checking, setting))) {
        return;
    }
    const char *near = definition ? nearest_setting(checking, declared, setting)
                                  : definition_nearest(checking->definitions, checking->kind, name);
    const char *what = definition ? "setting" : system ? "system: it has no connector" : "source";
    checking->result =
        err_set(checking->err, ERR_FATAL, "%s.%s.%s: there is no such %s%s%s%s", system ? "systems" : "sources", name,
                setting, what, near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

int settings_check(const struct definitions *definitions, const struct conf *conf, enum definition_kind kind,
                   const char *only, struct err *err)
{
    struct checking checking = {definitions, conf, kind, only, err, 0};
    conf_each_setting(conf, kind == DEFINITION_CONNECTOR ? "systems" : "sources", check, &checking);
    return checking.result;
}
