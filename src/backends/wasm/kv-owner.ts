/** What pages, tables and states that outlive steps need of their machine. */
import type { Space } from "./space.js";

export interface KvOwner {
  readonly space: Space;
  /** Finishes commands that may still read what lies in the memory as it is now. */
  flush(): void;
}
