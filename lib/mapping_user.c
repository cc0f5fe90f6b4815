/* The leaver, as an HR event tells of one. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/buf.h"
#include "lib/country.h"
#include "lib/fold.h"
#include "lib/identity.h"
#include "lib/json.h"
#include "lib/mapping.h"
#include "lib/mapping_internal.h"
#include "lib/mem.h"

bool mapping_is_private(const char *name)
{
    static const char *const names[] = {"address", "homeaddress", "phone", "homephone", "mobile", "birthdate"};
    struct buf plain = BUF_INIT;
    for (; *name; name++) {
        if (*name != '_' && *name != '-') {
            buf_add(&plain, name, 1);
        }
    }
    bool found = false;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        found = found || strcasecmp(buf_text(&plain), names[i]) == 0;
    }
    buf_release(&plain);
    return found;
}

json_t *mapping_without_private(const json_t *value)
{
    if (!json_is_object(value) && !json_is_array(value)) {
        return value ? json_incref((json_t *)(uintptr_t)value) : NULL;
    }
    json_t *clean = json_is_object(value) ? json_object() : json_array();
    const char *name;
    size_t i;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)value, name, member)
    {
        if (!mapping_is_private(name)) {
            json_object_set_new(clean, name, mapping_without_private(member));
        }
    }
    json_array_foreach(value, i, member)
    {
        json_array_append_new(clean, mapping_without_private(member));
    }
    return clean;
}

int mapping_check_text(const char *field, const json_t *value, struct err *err)
{
    if (!value || json_is_null(value)) {
        return 0;
    }
    if (!json_is_string(value)) {
        return err_set(err, ERR_PERMANENT, "%s must be a text", field);
    }
    if (strlen(json_string_value(value)) != json_string_length(value)) {
        return err_set(err, ERR_PERMANENT, "%s holds a NUL character", field);
    }
    if (json_string_length(value) > MAPPING_TEXT_MAX) {
        return err_set(err, ERR_PERMANENT, "%s is longer than %d characters", field, MAPPING_TEXT_MAX);
    }
    return 0;
}

int mapping_check_size(const char *field, const json_t *value, struct err *err)
{
    char *text = json_text(value);
    size_t size = strlen(text);
    free(text);
    return size <= MAPPING_OBJECT_MAX
               ? 0
               : err_set(err, ERR_PERMANENT, "%s is larger than %d bytes", field, MAPPING_OBJECT_MAX);
}

/* "mailto:ann@x.org" and "ann@x.org;" come out of programs that copy addresses, and no system knows them. Unquoted, these characters
 * stand in no address (RFC 5322, 3.2.3). */
#define NOT_IN_ADDRESSES " <>\"(),:;[]\\"

int mapping_check_email(const char *field, const json_t *value, struct err *err)
{
    if (mapping_check_text(field, value, err) != 0) {
        return -1;
    }
    const char *text = json_string_value(value);
    if (!text || !*text) {
        return 0;
    }
    const char *at = strchr(text, '@');
    const char *odd = strpbrk(text, NOT_IN_ADDRESSES);
    if (!at || at == text || !at[1] || strchr(at + 1, '@') || at[1] == '.' || text[strlen(text) - 1] == '.') {
        return err_set(err, ERR_PERMANENT, "%s: \"%s\" is no e-mail address", field, text);
    }
    return odd ? err_set(err, ERR_PERMANENT, "%s: \"%s\" is no e-mail address: it holds \"%c\"", field, text, *odd) : 0;
}

/* ---- what nobody sees -------------------------------------------------------------------------------------------- */

static int tidy_member(json_t *owner, const char *name, const char *field, struct err *err)
{
    json_t *value = json_object_get(owner, name);
    json_t *clean = json_is_string(value) ? identity_clean(field, value, err) : NULL;
    if (clean) {
        json_object_set_new(owner, name, clean);
    }
    return json_is_string(value) && !clean ? -1 : 0;
}

static int tidy_list(json_t *list, const char *field, struct err *err)
{
    size_t i;
    json_t *value;
    json_array_foreach(list, i, value)
    {
        json_t *clean = json_is_string(value) ? identity_clean(field, value, err) : NULL;
        if (json_is_string(value) && !clean) {
            return -1;
        }
        json_array_set_new(list, i, clean ? clean : json_incref(value));
    }
    return 0;
}

static int tidy_managers(const json_t *person, const char *field, struct err *err)
{
    char *manager = mem_printf("%s.manager", field), *chain = mem_printf("%s.manager_chain", field);
    json_t *above = json_object_get(person, "manager");
    int result = json_is_object(above) ? mapping_tidy_person(above, manager, err) : 0;
    size_t i;
    json_array_foreach(json_object_get(person, "manager_chain"), i, above)
    {
        result = result == 0 && json_is_object(above) ? mapping_tidy_person(above, chain, err) : result;
    }
    free(chain);
    free(manager);
    return result;
}

/* Conditions and zones compare codes. A name that no country has stays as it came, for people to see. */
static void tidy_country(json_t *person)
{
    const char *code = country_code(json_string_at(person, "country"));
    if (code) {
        json_object_set_new(person, "country", json_string(code));
    }
}

/* jane@xn--mnchen-3ya.de becomes jane@münchen.de: one person has one key, here and in PostgreSQL, and people can read it. */
static json_t *address_shown(json_t *address)
{
    const char *text = json_string_value(address);
    if (!text || !strcasestr(text, "xn--")) {
        return json_incref(address);
    }
    char *shown = fold_shown(text);
    json_t *value = json_string(shown);
    free(shown);
    return value ? value : json_incref(address);
}

static void show_addresses(json_t *person)
{
    json_t *emails = json_object_get(person, "emails"), *email;
    size_t i;
    json_put(person, "email", address_shown(json_object_get(person, "email")));
    json_array_foreach(emails, i, email)
    {
        json_array_set_new(emails, i, address_shown(email));
    }
}

int mapping_tidy_person(json_t *person, const char *field, struct err *err)
{
    static const char *const keys[] = {"email", "employee_id"};
    int result = 0;
    for (size_t i = 0; i < COUNT_OF(keys) && result == 0; i++) {
        char *member = mem_printf("%s.%s", field, keys[i]);
        result = tidy_member(person, keys[i], member, err);
        free(member);
    }
    char *emails = mem_printf("%s.emails", field);
    result = result == 0 ? tidy_list(json_object_get(person, "emails"), emails, err) : -1;
    free(emails);
    show_addresses(person);
    tidy_country(person);
    return result == 0 ? tidy_managers(person, field, err) : -1;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static int check_user(const json_t *user, struct err *err)
{
    static const char *const texts[] = {"user.name", "user.employee_id", "user.country", "user.manager.name",
                                        "user.manager.employee_id"};
    if (!json_is_object(user)) {
        return err_set(err, ERR_PERMANENT, "user is missing or no object");
    }
    if (mapping_check_size("user", user, err) != 0) {
        return -1;
    }
    const json_t *manager = json_object_get(user, "manager");
    if (manager && !json_is_null(manager) && !json_is_object(manager)) {
        return err_set(err, ERR_PERMANENT, "user.manager must be an object with email and name");
    }
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        if (mapping_check_text(texts[i], json_at(user, texts[i] + strlen("user.")), err) != 0) {
            return -1;
        }
    }
    if (mapping_check_email("user.email", json_object_get(user, "email"), err) != 0 ||
        mapping_check_email("user.manager.email", json_at(user, "manager.email"), err) != 0) {
        return -1;
    }
    const json_t *emails = json_object_get(user, "emails");
    if (emails && !json_is_null(emails) && !json_is_array(emails)) {
        return err_set(err, ERR_PERMANENT, "user.emails must be a list");
    }
    size_t i;
    json_t *email;
    json_array_foreach(emails, i, email)
    {
        if (!json_is_string(email) || mapping_check_email("user.emails", email, err) != 0) {
            return json_is_string(email) ? -1 : err_set(err, ERR_PERMANENT, "user.emails must hold texts");
        }
    }
    return 0;
}

/* An address that is none would be everybody's. */
static void drop_empty_emails(json_t *emails)
{
    for (size_t i = json_array_size(emails); i-- > 0;) {
        if (json_string_length(json_array_get(emails, i)) == 0) {
            json_array_remove(emails, i);
        }
    }
}

/* Drops what is null or empty. */
static void drop_empty(json_t *user)
{
    drop_empty_emails(json_object_get(user, "emails"));
    const char *name;
    json_t *value;
    void *next;
    json_object_foreach_safe(user, next, name, value)
    {
        if (json_is_null(value) || (json_is_string(value) && json_string_length(value) == 0)) {
            json_object_del(user, name);
        }
    }
}

/* rules.md 5: a manager equal to the leaver counts as none. */
static void drop_own_manager(json_t *user)
{
    const char *email = json_string_at(user, "email");
    const char *manager = json_string_at(user, "manager.email");
    if (fold_same(email, manager)) {
        json_object_del(user, "manager");
    }
}

json_t *mapping_user(const json_t *given, struct err *err)
{
    json_t *user = mapping_without_private(given);
    if (mapping_tidy_person(user, "user", err) != 0 || check_user(user, err) != 0) {
        json_decref(user);
        return NULL;
    }
    drop_empty(user);
    drop_own_manager(user);
    return user;
}
