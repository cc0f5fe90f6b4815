/* What a job finds out about the person, for all later jobs. */
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mapping.h"
#include "lib/mem.h"
#include "worker/engine_internal.h"

/* Sets the member at the dotted path. */
static void set_at(json_t *object, const char *path, json_t *value)
{
    const char *dot = strchr(path, '.');
    char *name = mem_strndup(path, dot ? (size_t)(dot - path) : strlen(path));
    if (!dot) {
        json_object_set(object, name, value);
    } else {
        json_t *inner = json_object_get(object, name);
        if (!json_is_object(inner)) {
            inner = json_object();
            json_object_set_new(object, name, inner);
        }
        set_at(inner, dot + 1, value);
    }
    free(name);
}

/* The members of the user that the action provides. New reference. */
static json_t *provided_user(const struct run *run, const json_t *outputs)
{
    json_t *user = json_object();
    size_t i;
    json_t *path;
    json_array_foreach(json_object_get(run->action, "provides"), i, path)
    {
        json_t *value = json_at(outputs, json_string_value(path));
        if (value && !json_is_null(value) && !context_holds_stand_in(value)) {
            json_t *copy = json_deep_copy(value);
            set_at(user, json_string_value(path) + strlen("user."), copy);
            json_decref(copy);
        }
    }
    return user;
}

/* Addresses and ids are texts, as everywhere in a message. */
static int check_texts(const json_t *person, struct err *err)
{
    static const char *const texts[] = {"email", "employee_id", "name", "country", "zone"};
    size_t i;
    json_t *email;
    for (i = 0; i < COUNT_OF(texts); i++) {
        const json_t *value = json_object_get(person, texts[i]);
        if (value && !json_is_string(value) && !json_is_null(value)) {
            return err_set(err, ERR_PERMANENT, "user.%s is not a text", texts[i]);
        }
    }
    json_array_foreach(json_object_get(person, "emails"), i, email)
    {
        if (!json_is_string(email)) {
            return err_set(err, ERR_PERMANENT, "user.emails has something that is not a text");
        }
    }
    return 0;
}

/* What a step finds out counts for all later ones: it has to be as good as what HR sends. */
enum verdict run_provide(struct run *run, const json_t *outputs)
{
    json_t *user = provided_user(run, outputs);
    struct err err = ERR_INIT;
    enum verdict verdict = VERDICT_DONE;
    if (check_texts(user, &err) != 0 || mapping_tidy_person(user, "user", &err) != 0) {
        verdict = run_say(run, VERDICT_FAILED, "what the vendor's answer says of the person can't be used: %s",
                          err_text(&err));
    } else if (json_object_size(user)) {
        run->provides = json_pack("{s:O}", "user", user);
    }
    json_decref(user);
    err_release(&err);
    return verdict;
}
