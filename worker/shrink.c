#include "worker/shrink.h"

#include <stdlib.h>
#include <string.h>

#include "lib/json.h"
#include "lib/mem.h"
#include "lib/message.h"

enum { MESSAGE_CUT = 2000 }; /* bytes of a message that are kept in an event that is too large */

/* The outcome cannot be kept as it is: it needed what does not fit. */
static void fail_instead(json_t *event, const char *why)
{
    json_t *context = json_object_get(event, "context");
    json_object_set_new(event, "name", json_string("job.failed"));
    json_object_set_new(context, "outcome", json_string("failed"));
    json_object_del(context, "due_at");
    message_event_response(event, (int)json_int_at(event, "response.statusCode", 0), why);
}

static void say_left_out(json_t *event, const char *what)
{
    const char *message = json_string_at(event, "response.message");
    size_t len = message ? strlen(message) : 0;
    if (len > MESSAGE_CUT) {
        for (len = MESSAGE_CUT; len && ((unsigned char)message[len] & 0xc0) == 0x80; len--) {
            /* not within a character of UTF-8 */
        }
    }
    char *text =
        mem_printf("%.*s (%s left out: the event was too large for Kafka)", (int)len, message ? message : "", what);
    message_event_response(event, (int)json_int_at(event, "response.statusCode", 0), text);
    free(text);
}

/* In the order in which they are missed least. Without its state a deferred job can't be resumed: it fails, for a
 * person. */
bool event_shrink(json_t *event, int step)
{
    static const char *const parts[] = {"calls", "outputs", "provides", "verified", "pinned", "state"};
    if (step >= (int)COUNT_OF(parts)) {
        const char *message = json_string_at(event, "response.message");
        bool cut = message && strlen(message) > 2 * MESSAGE_CUT;
        if (cut) {
            say_left_out(event, "the rest of this");
        }
        return cut;
    }
    json_t *context = json_object_get(event, "context");
    const char *part = parts[step];
    json_t *value = json_object_get(context, part);
    if (!value || json_is_null(value)) {
        return event_shrink(event, step + 1);
    }
    if (strcmp(part, "calls") == 0) {
        json_int_t before = json_int_at(context, "calls_left_out", 0);
        json_put(context, "calls_left_out", json_integer(before + (json_int_t)json_array_size(value)));
    }
    bool deferred = strcmp(json_string_at(event, "name"), "job.deferred") == 0;
    json_object_del(context, part);
    if (strcmp(part, "state") == 0 && deferred) {
        fail_instead(event, "the job was to be deferred, but its state is too large for Kafka");
    } else {
        say_left_out(event, part);
    }
    return true;
}
