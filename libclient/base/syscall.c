// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * syscall.c - syscall(3), which leaves the number of the call where restart.c finds it: in the red
 * zone
 *
 * It stands in front of the C library's.  The library calls it too, and depends on nothing by that.
 */
__asm__(".pushsection .text\n\t"
	".balign 16\n\t"
	".globl syscall\n\t"
	".type syscall, @function\n"
	"syscall:\n\t"
	".cfi_startproc\n\t"
	"movq %rdi, %rax\n\t"
	"movq %rsi, %rdi\n\t"
	"movq %rdx, %rsi\n\t"
	"movq %rcx, %rdx\n\t"
	"movq %r8, %r10\n\t"
	"movq %r9, %r8\n\t"
	"movq 8(%rsp), %r9\n\t"
	"movq %rax, -8(%rsp)\n\t"
	"syscall\n\t"
	".globl tri_syscall_done\n\t"
	".hidden tri_syscall_done\n"
	"tri_syscall_done:\n\t"
	"cmpq $-4095, %rax\n\t"
	"jae 1f\n\t"
	"ret\n"
	"1:\t"
	"negl %eax\n\t"
	"subq $24, %rsp\n\t"
	".cfi_adjust_cfa_offset 24\n\t"
	"movl %eax, 8(%rsp)\n\t"
	"call __errno_location@PLT\n\t"
	"movl 8(%rsp), %ecx\n\t"
	"movl %ecx, (%rax)\n\t"
	"movq $-1, %rax\n\t"
	"addq $24, %rsp\n\t"
	".cfi_adjust_cfa_offset -24\n\t"
	"ret\n\t"
	".cfi_endproc\n\t"
	".size syscall, . - syscall\n\t"
	".popsection");
