/** What all modules of handlers have in common: function types, imported functions and their numbers. */

/** Function types and imports shared by all handler modules, in this order. */
export const HANDLER_TYPES = [
  { parameters: ['i32', 'i32'], results: [] },
  { parameters: ['i32', 'i32', 'i64', 'i32'], results: ['i32'] },
  { parameters: ['i32', 'i32'], results: ['i32'] },
  { parameters: ['i32', 'i64', 'i64', 'i64'], results: ['i64'] },
  { parameters: ['i32', 'i32', 'i32', 'i32'], results: [] },
] as const;
export const HANDLER_TYPE = 0;
/** Of the functions that generated code is entered by. */
export const ENTRANCE_TYPE = 4;
export const IMPORTS = [
  { name: 'access', type: 1 },
  { name: 'commit', type: 2 },
  { name: 'divide', type: 3 },
] as const;
/** Numbers of the imported functions. */
export const ACCESS = 0;
export const COMMIT = 1;
export const DIVIDE = 2;
