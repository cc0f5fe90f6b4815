/* Is a job lost that nobody has answered, or does it only wait?
 *
 * It was published before it was first looked at, so its message lies before the end that the partition had then. Workers commit
 * an offset when the answers to all before it are in Kafka. Once they have committed that end, the answer lies before the end
 * that the topic of results (or of events) has then. Once the logger has recorded that much, and the job still has no answer, there is none. A
 * topic that now ends earlier than it did was made anew, and its message went with it. */
#include "scheduler/scheduler.h"

int64_t place_reads_from(const struct place *place)
{
    return place->committed < place->low || place->committed > place->high ? place->low : place->committed;
}

bool suspect_lost(struct suspect *suspect, const struct place *place, const int64_t ends[ANSWERS],
                  const int64_t recorded[ANSWERS])
{
    bool read = !place || place->high < suspect->read_to || place_reads_from(place) >= suspect->read_to;
    for (int i = 0; i < ANSWERS && read && !suspect->read; i++) {
        suspect->answered_to[i] = ends[i];
    }
    suspect->read = suspect->read || read;
    bool all = suspect->read;
    for (int i = 0; i < ANSWERS && all; i++) {
        all = recorded[i] >= suspect->answered_to[i];
    }
    return all;
}
