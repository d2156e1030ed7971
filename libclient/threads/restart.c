// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * restart.c - a system call that the library's signal has interrupted goes on
 *
 * Some calls return EINTR after any handler, even one with SA_RESTART (signal(7)).  A program that
 * has no handlers does not expect that.  So the library's handler repeats the call if three things
 * are true:
 *
 *  1. RIP is behind a `syscall` instruction, RAX is -EINTR, and RCX is equal to RIP.  The
 *     instruction sets RCX to RIP.  When a handler of the program returns to such a place, the
 *     library's restorer (below) changes RCX.  So the thread has executed nothing since the call,
 *     and no handler of the program has run for this interruption.
 *  2. The number of the call is known.  It is in the code before the instruction, or where the
 *     library's syscall() has left it.
 *  3. No signal is pending that the program handles, since such a signal has to end the call.
 *
 * Then RAX becomes the number, and RIP goes back to the instruction.  RCX and R11 become a mark
 * that says that the instruction was not executed yet.  If a handler of the program runs before it
 * is, the restorer finds the mark, and has the call return EINTR after all.  The mark can't be
 * wrong at any instant, because the instruction itself overwrites both registers.
 *
 * A call with a time-out begins its time anew when it is repeated.  So it carries another mark:
 * flags that no instruction leaves (zero and negative).  A call does not change the flags, and
 * other instructions of the program do.  So the mark shows that the time of the first interruption,
 * which is in the thread's record, is that of this call.  When the time-out has passed since then,
 * the call is over.  It may take up to three times as long as was asked for, and no longer.
 * Functions that are interposed as blocking regions are not interrupted, and so are exact.
 *
 * close() is never repeated, since its descriptor is closed already.
 *
 * The kernel itself begins other calls anew, because the library's handler has SA_RESTART.  Then
 * RIP is at the instruction, and RCX points behind it.  A handler of the program may run before the
 * instruction is executed again, if its signal had to wait for the library's.  It would find no
 * call to end.  So these calls have a mark as well, in R11.  They return EINTR if that handler has
 * no SA_RESTART.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "../start/init.h"
#include "restart.h"
#include "../roots/scan.h"
#include "../base/signals.h"
#include "thread.h"
#include "tricolor.h"

#define NOT_YET 0x7269636f6c6f7231ll	/* in RCX: the instruction has not been executed */
#define NOT_YET_2 0x7269636f6c6f7232ll	/* in R11 */
#define NOT_YET_KERNEL 0x7269636f6c6f7233ll	/* in R11: it is the kernel that goes back */
#define MARKED_FLAGS 0xc0ll		/* zero and sign */

#define CODE_BYTES 64			/* before an instruction: more than number_of() looks at */

/* Whether a syscall instruction is at @rip.  Code that was executed need not be readable. */
static bool is_syscall(greg_t rip)
{
	unsigned char at[2];

	return tri_read_foreign(at, (uintptr_t)rip, sizeof(at)) && at[0] == 0x0f && at[1] == 0x05;
}

/*
 * Read the code before @end.  Where there is none it is zeros, which are no instruction that
 * matters.
 */
static void read_code(unsigned char code[CODE_BYTES], uintptr_t end)
{
	size_t in_page = end & 4095;

	if (tri_read_foreign(code, end - CODE_BYTES, CODE_BYTES))
		return;
	memset(code, 0, CODE_BYTES);
	if (in_page < CODE_BYTES &&
	    !tri_read_foreign(code + CODE_BYTES - in_page, end - in_page, in_page))
		memset(code, 0, CODE_BYTES);
}

/* The registers in the order in which instructions number them, for mov %r32, %eax. */
static const unsigned char numbered[16] = {
	REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
	REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
};

/*
 * The length of an instruction that ends at @end and only prepares arguments: what compilers and
 * the C library put between the number and the instruction.  0: it is none of those.
 */
static int argument_length(const unsigned char *end)
{
	int rex;

	/* mov $constant, register (not %eax) */
	if (end[-5] >= 0xb9 && end[-5] <= 0xbf)
		return 5 + (end[-6] == 0x41);
	if (end[-5] == 0xb8 && end[-6] == 0x41)
		return 6;
	/* mov offset(%rsp), register */
	if (end[-4] == 0x8b && end[-2] == 0x24 && (end[-3] & 0xc7) == 0x44) {
		rex = end[-5] >= 0x40 && end[-5] <= 0x4f;
		return (end[-3] & 0x38) || rex ? 4 + rex : 0;
	}
	/* mov or xor register, register */
	if ((end[-2] == 0x89 || end[-2] == 0x31) && end[-1] >= 0xc0) {
		rex = end[-3] >= 0x40 && end[-3] <= 0x4f;
		return (end[-1] & 7) || rex ? 2 + rex : 0;
	}
	return 0;
}

/* The number of the call that has just returned in the thread; -1: unknown. */
static long number_of(const greg_t *regs)
{
	unsigned char code[CODE_BYTES];
	const unsigned char *end = code + CODE_BYTES;
	unsigned int from;
	int32_t number;
	int n, length;

	if (regs[REG_RIP] == (greg_t)tri_syscall_done)
		return ((const long *)regs[REG_RSP])[-1];
	read_code(code, (uintptr_t)regs[REG_RIP] - 2);
	for (n = 0; n < 7; n++) {
		memcpy(&number, end - 4, sizeof(number));
		/* mov $number, %eax or %rax */
		if (number >= 0 && number < 1024 &&
		    ((end[-5] == 0xb8 && end[-6] != 0x41) ||
		     (end[-7] == 0x48 && end[-6] == 0xc7 && end[-5] == 0xc0)))
			return number;
		/* xor %eax, %eax */
		if (end[-1] == 0xc0 && (end[-2] == 0x31 || end[-2] == 0x33) && end[-3] != 0x45)
			return 0;
		/* mov register, %eax: the register still has it */
		if (!n && end[-2] == 0x89 && (end[-1] & 0xc7) == 0xc0 && end[-3] != 0x41 &&
		    end[-3] != 0x45) {
			from = (end[-1] >> 3 & 7) + (end[-3] == 0x44 || end[-3] == 0x4c ? 8 : 0);
			if (numbered[from] != REG_RCX && numbered[from] != REG_R11 &&
			    numbered[from] != REG_RAX)
				return regs[numbered[from]];
		}
		length = argument_length(end);
		if (!length)
			break;
		end -= length;
	}
	return -1;
}

static int64_t time_ns(const struct timespec *ts)
{
	return ts ? ts->tv_sec * 1000000000 + ts->tv_nsec : -1;
}

/* SO_RCVTIMEO or SO_SNDTIMEO of @fd in ns; -1: it has none, or is no socket. */
static int64_t socket_ns(greg_t fd, int option)
{
	struct timeval tv = { 0, 0 };
	socklen_t len = sizeof(tv);

	if (syscall(SYS_getsockopt, fd, SOL_SOCKET, option, &tv, &len) ||
	    (!tv.tv_sec && !tv.tv_usec))
		return -1;
	return tv.tv_sec * 1000000000 + tv.tv_usec * 1000;
}

/* How long a call may take from its beginning, in ns, -1: for ever, and what it returns then. */
static int64_t time_out(long number, const greg_t *regs, int *result)
{
	*result = -EAGAIN;
	switch (number) {
	case SYS_read: case SYS_readv: case SYS_recvfrom: case SYS_recvmsg: case SYS_recvmmsg:
	case SYS_accept: case SYS_accept4:
		return socket_ns(regs[REG_RDI], SO_RCVTIMEO);
	case SYS_write: case SYS_writev: case SYS_sendto: case SYS_sendmsg: case SYS_sendmmsg:
		return socket_ns(regs[REG_RDI], SO_SNDTIMEO);
	case SYS_connect:
		*result = -EINPROGRESS;
		return socket_ns(regs[REG_RDI], SO_SNDTIMEO);
	case SYS_semtimedop:
		return time_ns((const struct timespec *)regs[REG_R10]);
	case SYS_rt_sigtimedwait:
		return time_ns((const struct timespec *)regs[REG_RDX]);
	case SYS_futex:
		*result = -ETIMEDOUT;
		/* FUTEX_WAIT: others have a point in time. */
		return regs[REG_RSI] & 0x7f ? -1 : time_ns((const struct timespec *)regs[REG_R10]);
	}
	*result = 0;
	switch (number) {
	case SYS_poll:
		return (int)regs[REG_RDX] < 0 ? -1 : (int)regs[REG_RDX] * 1000000ll;
	case SYS_epoll_wait: case SYS_epoll_pwait:
		return (int)regs[REG_R10] < 0 ? -1 : (int)regs[REG_R10] * 1000000ll;
	case SYS_epoll_pwait2:
		return time_ns((const struct timespec *)regs[REG_R10]);
	case SYS_io_getevents: case SYS_io_pgetevents:
		return time_ns((const struct timespec *)regs[REG_R8]);
	/*
	 * The kernel writes the time that is left.  If the program has it written over the time
	 * that it asked for, a repeated call is exact.
	 */
	case SYS_nanosleep:
		return regs[REG_RSI] == regs[REG_RDI] ?
			       -1 :
			       time_ns((const struct timespec *)regs[REG_RDI]);
	case SYS_clock_nanosleep:
		return regs[REG_RSI] || regs[REG_R10] == regs[REG_RDX] ? -1 :
		       time_ns((const struct timespec *)regs[REG_RDX]);
	}
	return -1;
}

/* Whether a handler of the program will get a signal as soon as ours returns. */
static bool program_signal_pending(const ucontext_t *uc)
{
	struct {
		void *handler;
		unsigned long flags, restorer, mask;
	} act;
	uint64_t pending = 0, blocked;
	int sig;

	memcpy(&blocked, &uc->uc_sigmask, sizeof(blocked));
	if (syscall(SYS_rt_sigpending, &pending, 8L))
		return false;
	pending &= ~blocked;
	for (sig = 1; pending; sig++, pending >>= 1) {
		if (!(pending & 1) || sig == tri_signal_number(0) || sig == tri_signal_number(1))
			continue;
		if (!syscall(SYS_rt_sigaction, sig, NULL, &act, 8L) && act.handler != SIG_DFL &&
		    act.handler != SIG_IGN)
			return true;
	}
	return false;
}

/** Have a call that our handler has interrupted go on.  Called last.  @t: NULL if not attached. */
void tri_restart(struct tri_thread *t, ucontext_t *uc)
{
	greg_t *regs = uc->uc_mcontext.gregs;
	int64_t limit;
	long number;
	int result;

	if (regs[REG_RCX] == regs[REG_RIP] + 2 && is_syscall(regs[REG_RIP])) {
		regs[REG_RCX] = NOT_YET;
		regs[REG_R11] = NOT_YET_KERNEL;
		return;
	}
	if (regs[REG_RAX] != -EINTR || regs[REG_RCX] != regs[REG_RIP] ||
	    !is_syscall(regs[REG_RIP] - 2))
		return;
	number = number_of(regs);
	if (number < 0 || number == SYS_close || number == SYS_restart_syscall ||
	    program_signal_pending(uc))
		return;
	limit = time_out(number, regs, &result);
	if (limit >= 0) {
		if (!t)
			return;
		if ((regs[REG_EFL] & MARKED_FLAGS) != MARKED_FLAGS ||
		    t->call_sp != (uintptr_t)regs[REG_RSP] || t->call_number != number) {
			t->call_since_ns = tri_now_ns();
			t->call_sp = (uintptr_t)regs[REG_RSP];
			t->call_number = number;
		} else if (tri_now_ns() - t->call_since_ns >= (uint64_t)limit) {
			regs[REG_RAX] = result;
			return;
		}
		regs[REG_EFL] |= MARKED_FLAGS;
	}
	regs[REG_RAX] = number;
	regs[REG_RIP] -= 2;
	regs[REG_RCX] = NOT_YET;
	regs[REG_R11] = NOT_YET_2;
}

/**
 * A handler of the program is about to return to @uc.  If it has interrupted a call that is to be
 * repeated, the call returns EINTR instead.  But if the handler has SA_RESTART (@restarts), a call
 * goes on that the kernel begins anew.
 */
void tri_handler_returns(ucontext_t *uc, int restarts)
{
	struct tri_thread *t = tri__tls.thread;
	greg_t *regs = uc->uc_mcontext.gregs;

	if (t)
		atomic_fetch_add_explicit(&t->handlers, 1, memory_order_relaxed);
	if (regs[REG_RCX] == NOT_YET &&
	    (regs[REG_R11] == NOT_YET_2 || regs[REG_R11] == NOT_YET_KERNEL)) {
		if (!is_syscall(regs[REG_RIP]) || (restarts && regs[REG_R11] == NOT_YET_KERNEL))
			return;
		regs[REG_RIP] += 2;
		regs[REG_RAX] = -EINTR;
		regs[REG_RCX] = 0;
	} else if (regs[REG_RAX] == -EINTR && regs[REG_RCX] == regs[REG_RIP]) {
		regs[REG_RCX] = 0;
	}
}

/*
 * What a handler of the program's returns to, in place of the C library's: tri_handler_returns(),
 * then rt_sigreturn.  One for handlers without SA_RESTART, and one for those with it.  The unwind
 * information says where the interrupted registers are; it begins one byte early, as unwinders look
 * at the byte before a return address.
 */
#define AT(reg, base, offset)	/* DW_CFA_expression, 3 bytes: DW_OP_breg, offset */ \
	".cfi_escape 0x10," #reg ",3," base ",(" #offset " & 0x7f) | 0x80," #offset " >> 7\n\t"
#define REGISTERS(base)							\
	/* DW_CFA_def_cfa_expression: the interrupted RSP */		\
	".cfi_escape 0x0f,4," base ",(160 & 0x7f) | 0x80,160 >> 7,0x06\n\t" \
	AT(8, base, 40) AT(9, base, 48) AT(10, base, 56) AT(11, base, 64) \
	AT(12, base, 72) AT(13, base, 80) AT(14, base, 88) AT(15, base, 96) \
	AT(5, base, 104) AT(4, base, 112) AT(6, base, 120) AT(3, base, 128) \
	AT(1, base, 136) AT(0, base, 144) AT(2, base, 152) AT(7, base, 160) AT(16, base, 168)

#define RESTORER(name, restarts)					\
	".balign 16\n\t"						\
	".cfi_startproc simple\n\t"					\
	".cfi_signal_frame\n\t"					\
	REGISTERS("0x77")		/* from RSP, which is at the ucontext */ \
	"nop\n\t"							\
	".globl " name "\n\t"						\
	".hidden " name "\n\t"						\
	".type " name ", @function\n"					\
	name ":\n\t"							\
	"movq %rsp, %rbx\n\t"						\
	REGISTERS("0x73")		/* from RBX */			\
	"movq %rsp, %rdi\n\t"						\
	"movl $" restarts ", %esi\n\t"					\
	"andq $-16, %rsp\n\t"						\
	"call tri_handler_returns\n\t"					\
	"movq %rbx, %rsp\n\t"						\
	"movl $15, %eax\n\t"						\
	"syscall\n\t"							\
	"hlt\n\t"							\
	".cfi_endproc\n\t"						\
	".size " name ", . - " name "\n\t"

__asm__(".pushsection .text\n\t"
	RESTORER("tri_restorer", "0")
	RESTORER("tri_restorer_restarts", "1")
	".popsection");
