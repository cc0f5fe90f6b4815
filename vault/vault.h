/* offboard-vault: the only process that holds the private key of what is in escrow. It opens sealed values for who may see them, and puts on
 * record who did. Its API (reveal.listen) is for operators inside; nothing from the Internet reaches it. */
#ifndef OFFBOARD_VAULT_VAULT_H
#define OFFBOARD_VAULT_VAULT_H

#include "edge/edge.h"

bool reveals_admit(struct edge *edge, struct http_request *request);
void reveals_handle(struct edge *edge, struct http_request *request); /* POST /v1/reveals */

#endif
