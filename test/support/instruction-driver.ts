/** Something that can run a case of the differential tests: the processor, or a stand-in for it. */

import type { Outcome, TestCase } from '../differential/test-case.js';

export interface InstructionDriver {
  /** Runs from the start of the code until RIP is at an INT3 or an exception is raised. */
  run(testCase: TestCase): Outcome;
}
