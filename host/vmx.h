/*
 * The VMX: one VM from options to exit status.
 *
 * World: VMX.  Call once per process (it forks, takes signals and the
 * terminal).  Errors: messages are printed; the return value is the program's
 * exit status (0 powered off, 1 error, 128+n signal n, (code << 1) | 1).
 */
#ifndef HOST_VMX_H
#define HOST_VMX_H

#include "host/options.h"

int vmx_run(const struct options *o);

#endif
