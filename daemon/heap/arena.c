// SPDX-License-Identifier: GPL-2.0-only
/*
 * arena.c - checking and mapping the file of a client's heap
 *
 *  1. The file is refused unless it is one of those in backing.c, has the size that its own header
 *     implies, and speaks our versions.  The header is read with pread() into our own memory; from
 *     then on only those numbers count.
 *  2. Metadata is mapped to be written, the heap to be read only; or, with the client's
 *     TRICOLOR_DEBUG=clobberfree, to be written, too.
 */
#include "arena.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backing.h"
#include "channel.h"
#include "daemon/process/config.h"
#include "daemon/process/fault.h"
#include "daemon/process/log.h"
#include "mark.h"

bool arena_check_file(struct arena *a, struct tri_layout *layout, uint64_t *heap_va)
{
	struct tri_ctl ctl;
	const char *why;
	uint64_t bytes;
	int err = backing_check(a->fd, &a->is_device, &bytes, &why);

	if (err)
		return channel_refuse(a, err, "%s", why);
	if (pread(a->fd, &ctl, sizeof(ctl), 0) != sizeof(ctl))
		return channel_refuse(a, EIO,
				      "the arena has no header to read; is the client ending?");
	if (ctl.magic != TRI_MAGIC || ctl.layout_version != TRI_LAYOUT_VERSION ||
	    ctl.ctl_bytes != sizeof(ctl))
		return channel_refuse(a, EINVAL, "the arena has layout %u, this daemon has %u",
			      ctl.layout_version, TRI_LAYOUT_VERSION);
	if (ctl.features & ~TRI_FEATURES)
		return channel_refuse(a, EPROTONOSUPPORT,
				      "the heap relies on features %#x, of which this daemon knows "
				      "%#x; install a tricolord as new as libtricolor",
				      ctl.features, TRI_FEATURES);
	if (tri_layout_init(layout, ctl.heap_pages) || bytes != layout->file_bytes)
		return channel_refuse(a, EINVAL,
				      "the arena's size of %llu bytes does not fit its header",
				      (unsigned long long)bytes);
	if (ctl.heap_va % TRI_PAGE_BYTES || ctl.heap_va >> 47 ||
	    (ctl.heap_va + (ctl.heap_pages << TRI_PAGE_SHIFT)) >> 47)
		return channel_refuse(a, EINVAL, "the heap's address of %#llx is none",
			      (unsigned long long)ctl.heap_va);
	*heap_va = ctl.heap_va;
	return true;
}

bool arena_map(struct arena *a, const struct tri_layout *layout, uint64_t heap_va)
{
	int heap_prot = a->debug.clobberfree ? PROT_READ | PROT_WRITE : PROT_READ;

	a->base = mmap(NULL, layout->file_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
		       a->fd, 0);
	if (a->base == MAP_FAILED) {
		a->base = NULL;
		return channel_refuse(a, ENOMEM, "no address space for another arena of %llu MiB",
			      (unsigned long long)(layout->file_bytes >> 20));
	}
	tri_view_init(&a->view, a->base, layout, heap_va);
	a->guard = fault_guard(a->base, layout->file_bytes);
	if (!a->guard)
		return channel_refuse(a, ENOMEM, "no memory to watch over another arena");
	/* A private collector trusts its client, whose sandbox may not know the call. */
	if (!config_is_private())
		a->holes_fd = backing_guard_holes(a->is_device, a->base, layout->file_bytes);
	/* This process only reads the heap, unless it is to clobber what is free. */
	mprotect((char *)a->base + layout->heap, layout->file_bytes - layout->heap, heap_prot);
	madvise(a->base, layout->file_bytes, MADV_DONTDUMP);
	return true;
}

void arena_unmap(struct arena *a)
{
	if (a->marker.self)
		marker_exit(&a->marker);
	if (a->guard)
		fault_unguard(a->guard);
	if (a->base)
		munmap(a->base, a->view.layout.file_bytes);
	if (a->holes_fd >= 0)
		close(a->holes_fd);
	if (a->fd >= 0)
		close(a->fd);
}

bool arena_has_fault(struct arena *a)
{
	if (!fault_happened(a->guard))
		return false;
	log_warning(
		"%s: gave up: arena corrupt, or the client is ending: there is no page at offset "
		"%#zx of its %s",
		a->client.name,
		fault_offset(a->guard) < a->view.layout.heap ?
			fault_offset(a->guard) :
			fault_offset(a->guard) - a->view.layout.heap,
		fault_offset(a->guard) < a->view.layout.heap ? "tables" : "heap");
	return true;
}

uint64_t arena_resident_bytes(const struct arena *a)
{
	const struct tri_ctl *ctl = a->view.ctl;
	uint64_t used = arena_used_bytes(a);

	return backing_resident_bytes(a->fd, used + tri_read(&ctl->free_backed_bytes) + used / 32);
}

uint64_t arena_live_at(const struct arena *a, uint64_t allocated)
{
	/* It wraps if there is less than after the last cycle: the program frees objects itself. */
	uint64_t since = allocated - a->live.at_bytes;

	if (since > INT64_MAX && 0 - since > a->live.bytes)
		return 0;
	return a->live.bytes + since;
}

uint64_t arena_live_bytes(const struct arena *a)
{
	return arena_live_at(a, tri_read(&a->view.ctl->allocated_bytes));
}
