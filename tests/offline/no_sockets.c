/* Runs a program whose process the kernel kills as soon as it makes a socket: `no_sockets PROGRAM ARGUMENT...`.
 *
 * Whoever may not trace programs can still use this, because a process needs no right to give up its own. io_uring makes sockets
 * without the system call, and so is forbidden too. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "for x86-64 and aarch64"
#endif

#define LOAD(member) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, member))
#define KILL BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)
#define KILL_IF(number) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 1), KILL

int main(int count, char **arguments) {
  struct sock_filter rules[] = {
      LOAD(arch), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0), KILL,
      LOAD(nr), KILL_IF(__NR_socket), KILL_IF(__NR_socketpair), KILL_IF(__NR_io_uring_setup),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const struct sock_fprog filter = {sizeof rules / sizeof rules[0], rules};
  if (count < 2) return fprintf(stderr, "usage: no_sockets PROGRAM ARGUMENT...\n"), 125;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
    return fprintf(stderr, "no_sockets: cannot forbid sockets: %s\n", strerror(errno)), 125;
  execvp(arguments[1], arguments + 1);
  return fprintf(stderr, "no_sockets: %s: %s\n", arguments[1], strerror(errno)), 125;
}
