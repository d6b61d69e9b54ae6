/*
 * Seam: the wire from a device to the interrupt controller.
 *
 * World: monitor and tests.  A device gets one at creation, so that it can be
 * tested alone.  Owner: the device keeps its copy; `opaque` belongs to whoever
 * made the wire.  set() may be called with an unchanged level; only changes
 * matter to the receiver.  No errors.
 */
#ifndef DEVICES_HOT_IRQ_LINE_H
#define DEVICES_HOT_IRQ_LINE_H

#include "base/types.h"

struct irq_line {
    void (*set)(void *opaque, unsigned irq, bool level);
    void *opaque;
    unsigned irq;
};

static inline void irq_line_set(const struct irq_line *line, bool level)
{
    line->set(line->opaque, line->irq, level);
}

#endif
