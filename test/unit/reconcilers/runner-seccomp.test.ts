import { expect, test } from 'vitest'
import profile from '../../../src/reconcilers/services/runner-seccomp.json' with { type: 'json' }

const allowed = profile.syscalls.filter(({ action }) => action === 'SCMP_ACT_ALLOW')
const names = allowed.flatMap((one) => one.names)

test('refuses what it does not name, for programs of 64 bits alone', () => {
  expect(profile.defaultAction).toBe('SCMP_ACT_ERRNO')
  // The other interfaces of an x86-64 kernel have system calls of other numbers, and faults of their own.
  expect(profile.archMap).toEqual([{ architecture: 'SCMP_ARCH_X86_64' }, { architecture: 'SCMP_ARCH_AARCH64' }])
})

test('names nothing that changes the kernel, reads another process or creates a namespace', () => {
  const never =
    /^(mount|umount|unshare|setns|pivot_root|chroot|ptrace|process_vm_|process_madvise|kcmp|pidfd_getfd|bpf|perf_event_open|keyctl|add_key|request_key|userfaultfd|io_uring_|init_module|finit_module|delete_module|kexec_|reboot|swapon|acct|quotactl|syslog|iopl|ioperm|modify_ldt|personality|mknod|open_by_handle_at|name_to_handle_at|clock_settime|clock_adjtime|settimeofday|adjtimex|sethostname|setdomainname|fsopen|fsmount|open_tree|move_mount|memfd_secret|landlock_|vmsplice|shm|msg|sem|mq_|setpriority|sched_setscheduler|sched_setattr|ioprio_set)/
  expect(names.filter((name) => never.test(name))).toEqual([])
})

test('allows sockets of four families, and threads without a namespace of their own', () => {
  const families = allowed
    .filter((one) => one.names.includes('socket'))
    .map(({ args }) => args?.map(({ index, value, op }) => [index, value, op]))
  expect(families).toEqual([1, 2, 10, 16].map((family) => [[0, family, 'SCMP_CMP_EQ']]))
  // CLONE_NEWNS, CGROUP, UTS, IPC, USER, PID and NET.
  const newNamespaces = 0x2_0000 | 0x200_0000 | 0x400_0000 | 0x800_0000 | 0x1000_0000 | 0x2000_0000 | 0x4000_0000
  expect(allowed.find((one) => one.names.includes('clone'))?.args).toEqual([{ index: 0, value: newNamespaces, op: 'SCMP_CMP_MASKED_EQ' }])
  expect(profile.syscalls.find((one) => one.names.includes('clone3'))).toMatchObject({ action: 'SCMP_ACT_ERRNO', errnoRet: 38 })
})
