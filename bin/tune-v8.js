/**
 * V8's limits for inlining, raised before anything is compiled. A VM exit runs through some eighty small functions, each
 * one instruction or one step of KVM's: with the default limits (27, 920 and 4600 bytes of bytecode) most of them stay
 * calls, and exits are simulated at four fifths of the speed (`npm run bench -- exits`). Higher limits cost more in
 * compilation than they save.
 */

import v8 from 'node:v8';

v8.setFlagsFromString('--max-inlined-bytecode-size-small=80');
v8.setFlagsFromString('--max-inlined-bytecode-size-cumulative=5000');
v8.setFlagsFromString('--max-inlined-bytecode-size-absolute=20000');
