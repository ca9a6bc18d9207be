// Invented signals that look like a machine's metrics: deterministic from a seed, bent by a running
// incident.
export class Random {
  private state_: number;

  constructor(seed: number) {
    this.state_ = seed >>> 0;
  }

  // Mulberry32: enough for a picture, the same everywhere.
  next(): number {
    this.state_ = (this.state_ + 0x6d2b79f5) >>> 0;
    let t = this.state_;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }

  normal(): number {
    return this.next() + this.next() + this.next() + this.next() - 2;
  }
}

export interface Signal {
  id: string;
  metric: string;
  title: string | null;
  entity: string;
  unit: string;
  base: number;
  noise: number;
  wave: number;
  // How far an incident of this kind moves the value, and to what limit.
  moved_by: string;
  moved_to: number;
}

type Row = [string, string, string, string, number, number, number, string, number];

const kMachine: Row[] = [
  ["cpu.busy_percent", "CPU busy", "all", "%", 11, 2.2, 3, "cpu", 97.4],
  ["cpu.system_percent", "CPU in the kernel", "all", "%", 3, 0.6, 1, "", 0],
  ["cpu.iowait_percent", "CPU waiting for disks", "all", "%", 0.6, 0.4, 0.2, "disk", 38],
  ["load.1m", "Load, one minute", "all", "", 0.7, 0.05, 0.2, "cpu", 3.1],
  ["memory.used_percent", "Memory used", "all", "%", 41, 0.25, 0.8, "memory", 91],
  ["memory.available_bytes", "Memory available", "all", "bytes", 4.9e9, 2e7, 8e7, "memory", 6.2e8],
  ["memory.swap_used_bytes", "Swap used", "all", "bytes", 1.2e7, 0, 0, "", 0],
  ["disk.write_bytes_per_s", "Disk written", "vda", "bytes/s", 3.1e5, 1.4e5, 1e5, "disk", 3.4e8],
  ["disk.read_bytes_per_s", "Disk read", "vda", "bytes/s", 4.2e4, 3e4, 1e4, "", 0],
  ["disk.used_percent", "Disk used", "/", "%", 57.2, 0.01, 0.02, "", 0],
  ["net.received_bytes_per_s", "Network in", "eth0", "bytes/s", 5.4e4, 1.9e4, 2e4, "", 0],
  ["net.sent_bytes_per_s", "Network out", "eth0", "bytes/s", 2.3e4, 9e3, 9e3, "", 0],
  ["kernel.context_switches_per_s", "Context switches", "all", "1/s", 2400, 210, 320, "cpu", 5200],
  ["kernel.processes_running", "Processes ready to run", "all", "count", 2, 0.5, 0.3, "cpu", 5],
  ["process.cpu_percent", "Process CPU", "firefox", "%", 4.2, 1.1, 1.5, "", 0],
  ["process.cpu_percent", "Process CPU", "postgres", "%", 1.7, 0.5, 0.6, "", 0],
  ["process.cpu_percent", "Process CPU", "quickwater", "%", 2.1, 0.2, 0.2, "", 0],
  ["process.memory_bytes", "Process memory", "firefox", "bytes", 9.4e8, 4e6, 2e7, "", 0],
  ["process.memory_bytes", "Process memory", "postgres", "bytes", 2.1e8, 6e5, 1e6, "", 0],
  ["process.memory_bytes", "Process memory", "quickwater", "bytes", 9.7e7, 1e5, 3e5, "", 0],
];

export function machine_signals(total: number): Signal[] {
  const rows = kMachine.map((row): Signal => {
    const [metric, title, entity, unit, base, noise, wave, moved_by, moved_to] = row;
    return {
      id: `host/${metric}/${entity}`,
      metric,
      title,
      entity,
      unit,
      base,
      noise,
      wave,
      moved_by,
      moved_to,
    };
  });
  for (let i = rows.length; i < total; i++) {
    const entity = `service-${(i + 1).toString().padStart(3, "0")}`;
    rows.push({
      id: `host/requests.per_s/${entity}`,
      metric: "requests.per_s",
      title: null,
      entity,
      unit: "1/s",
      base: 40 + ((i * 37) % 400),
      noise: 4,
      wave: 12,
      moved_by: "",
      moved_to: 0,
    });
  }
  return rows.slice(0, total);
}

export function signal_value(signal: Signal, second: number, random: Random, push: number): number {
  const slow = Math.sin(second / 47 + signal.base) * signal.wave;
  const calm = Math.max(0, signal.base + slow + random.normal() * signal.noise);
  return calm + (signal.moved_to - calm) * push;
}
