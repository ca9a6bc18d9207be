// The newest points of one series: fixed capacity, three columns, oldest first. NaN stands for
// null.
export class Ring {
  readonly capacity: number;
  readonly t_us: Float64Array;
  readonly value: Float64Array;
  readonly score: Float64Array;
  private start_ = 0;
  private size_ = 0;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.t_us = new Float64Array(capacity);
    this.value = new Float64Array(capacity);
    this.score = new Float64Array(capacity);
  }

  get size(): number {
    return this.size_;
  }

  // Position in the columns of the i-th oldest point.
  at(i: number): number {
    return (this.start_ + i) % this.capacity;
  }

  newest_us(): number {
    return this.size_ === 0 ? Number.NEGATIVE_INFINITY : this.t_us[this.at(this.size_ - 1)]!;
  }

  // Points that are not newer than the newest are ignored, except one of the same time, which
  // replaces it.
  push(t_us: number, value: number | null, score: number | null): boolean {
    const newest = this.newest_us();
    if (t_us < newest) return false;
    let slot: number;
    if (t_us === newest) {
      slot = this.at(this.size_ - 1);
    } else if (this.size_ < this.capacity) {
      slot = this.at(this.size_++);
    } else {
      slot = this.start_;
      this.start_ = (this.start_ + 1) % this.capacity;
    }
    this.t_us[slot] = t_us;
    this.value[slot] = value ?? Number.NaN;
    this.score[slot] = score ?? Number.NaN;
    return true;
  }

  clear(): void {
    this.start_ = 0;
    this.size_ = 0;
  }
}
