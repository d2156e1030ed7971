/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * withheld.h - memory that stops whoever touches it, the kernel too, until it is given
 */
#ifndef TRICOLOR_SELFTESTS_WITHHELD_H
#define TRICOLOR_SELFTESTS_WITHHELD_H

#include <linux/userfaultfd.h>
#include <sys/syscall.h>

#include "arena.h"

/* A page; @uffd can be read when somebody waits for it.  NULL: not to be had here. */
static UNUSED char *withheld_page(int *uffd)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register r = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, p);
	*uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	if (*uffd < 0)
		return NULL;
	r.range.start = (uintptr_t)p;
	r.range.len = PAGE;
	ASSERT_EQ(0, ioctl(*uffd, UFFDIO_API, &api));
	ASSERT_EQ(0, ioctl(*uffd, UFFDIO_REGISTER, &r));
	return p;
}

static UNUSED void give_page(int uffd, char *page)
{
	struct uffdio_zeropage zero = { .range = { (uintptr_t)page, PAGE } };

	ASSERT_EQ(0, ioctl(uffd, UFFDIO_ZEROPAGE, &zero));
}

#endif
