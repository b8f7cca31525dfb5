/**
 * The preprocessor: reads files line by line, follows its directives, expands macros, and hands out lines for the
 * assembler. It runs anew in every pass, since its conditions may depend on addresses.
 */

import { AssemblyError, fail } from '../assembly-error.js';
import type { LineOrigin, LogicalLine, SourceLine } from '../source-text.js';
import { keywordText, operatorText, type Token } from '../token.js';
import { type BlockDefinition, collectLine } from './block-definition.js';
import { parseConditionDirective } from './conditions.js';
import { runDefinitionDirective } from './definition-directives.js';
import { asLabel, FLOW_DIRECTIVES, type FlowSurroundings } from './flow-directives.js';
import { type ConditionState, type Frame, isActive, originOf } from './frames.js';
import type { PreprocessorHost } from './host.js';
import { bindParameters, type MultiLineMacro, MultiLineMacros } from './multi-line-macros.js';
import { type Context, substituteParameters } from './parameter-substitution.js';
import { type BuiltInNames, SingleLineMacros } from './single-line-macros.js';

const MAXIMUM_LINES = 500_000;
const MAXIMUM_FRAMES = 1000;

export class Preprocessor implements FlowSurroundings {
  readonly singleLineMacros: SingleLineMacros;
  readonly multiLineMacros = new MultiLineMacros();
  readonly contexts: Context[] = [];
  readonly frames: Frame[] = [];
  /** The line being read. */
  current!: SourceLine;
  private readonly host: PreprocessorHost;
  private definition: BlockDefinition | undefined;
  private linesRead = 0;
  private nextId = 1;
  private stopped = false;

  constructor(host: PreprocessorHost, lines: readonly SourceLine[], builtIn: BuiltInNames) {
    this.host = host;
    this.singleLineMacros = new SingleLineMacros(builtIn);
    this.pushFrame({ kind: 'file', lines });
  }

  /** Place of the line being read. */
  get currentOrigin(): LineOrigin {
    return originOf(this.frame, this.current);
  }

  private get frame(): Frame {
    return this.frames[this.frames.length - 1];
  }

  private pushFrame(frame: Pick<Frame, 'kind' | 'lines'> & Partial<Frame>): void {
    const around = this.frames.length === 0 ? 0 : this.frame.depth;
    const depth = frame.kind === 'macro' ? around + 1 : around;
    const rest = { next: 0, expansion: undefined, invocation: undefined, conditions: [], remaining: 0 };
    this.frames.push({ ...rest, depth, ...frame });
  }

  /** Gives up everything that is being read except the file that the outermost macro or file was called from. */
  private abandonNesting(): void {
    const outermost = this.frames.findIndex((frame, index) => index > 0 && frame.kind !== 'repetition');
    this.frames.length = Math.max(1, outermost);
  }

  /** The next line for the assembler, or undefined at the end. Errors are reported and their lines skipped. */
  nextLine(): LogicalLine | undefined {
    while (!this.stopped && this.frames.length > 0) {
      const { frame } = this;
      if (frame.next >= frame.lines.length) {
        this.endOfFrame(frame);
        continue;
      }
      this.current = frame.lines[frame.next++];
      const origin = originOf(frame, this.current);
      try {
        if (++this.linesRead > MAXIMUM_LINES) {
          this.stopped = true;
          fail('too-long', 'the program has too many lines after the expansion of macros');
        }
        const tokens = this.processLine(frame, this.current);
        if (tokens !== undefined && tokens.length > 0) return { tokens, origin };
      } catch (error) {
        if (!(error instanceof AssemblyError)) throw error;
        this.host.report('error', error.code, error.message, origin, error.token);
      }
    }
    if (this.definition !== undefined) {
      const { directive, origin } = this.definition;
      this.host.report('error', 'unclosed-block', `${directive.text} is never closed`, origin, directive);
      this.definition = undefined;
    }
    return undefined;
  }

  private endOfFrame(frame: Frame): void {
    for (const { line, token } of frame.conditions)
      this.host.report(
        'error',
        'unclosed-block',
        `${token.text} is never closed`,
        originOf(frame, line),
        token,
      );
    frame.conditions.length = 0;
    if (frame.kind === 'repetition' && frame.remaining > 0) {
      frame.remaining--;
      frame.next = 0;
    } else {
      this.frames.pop();
    }
  }

  private processLine(frame: Frame, line: SourceLine): readonly Token[] | undefined {
    const { depth } = frame;
    if (this.definition !== undefined) {
      if (frame.kind === 'file') this.host.listLine(line, depth);
      if (collectLine(this.definition, line)) this.endDefinition();
      return undefined;
    }
    const active = isActive(frame);
    if (active || frame.kind === 'file') this.host.listLine(line, depth);
    const first = line.tokens[0];
    if (!active) {
      if (first?.kind === 'preprocessor') this.runConditional(line.tokens, first);
      return undefined;
    }
    const substituted = substituteParameters(line.tokens, frame.expansion, this.contexts);
    const tokens = this.singleLineMacros.expandIndirections(substituted);
    const [head] = tokens;
    if (head === undefined) return undefined;
    if (head.kind === 'preprocessor' && /^%[a-z]/i.test(head.text)) {
      this.runDirective(tokens, head);
      return undefined;
    }
    const expanded = this.singleLineMacros.expand(tokens);
    return this.invokeMacro(expanded) ? undefined : expanded;
  }

  /** Reads a macro invocation with an optional label before it; true when it was one. */
  private invokeMacro(tokens: readonly Token[]): boolean {
    let position = 0;
    let macros = this.macrosNamed(tokens[0]);
    if (macros.length === 0 && tokens[0]?.kind === 'identifier') {
      position = operatorText(tokens[1]) === ':' ? 2 : 1;
      macros = this.macrosNamed(tokens[position]);
    }
    if (macros.length === 0) return false;
    const name = tokens[position];
    const bound = bindParameters(macros, tokens.slice(position + 1));
    if (bound === undefined) {
      const given = tokens.length - position > 1 ? 'these operands' : 'no operands';
      // The name may also be an instruction.
      if (this.host.isInstruction(keywordText(name))) return false;
      fail('macro-parameters', `macro ${name.text} does not take ${given}`, name);
    }
    if (this.frames.length >= MAXIMUM_FRAMES) {
      this.abandonNesting();
      fail('macro-depth', `macro ${name.text} calls itself without end`, name);
    }
    const { frame } = this;
    const { macro, parameters } = bound;
    const label = tokens.slice(0, position);
    const usesLabel = macro.body.some((line) => line.tokens.some((token) => token.text === '%00'));
    const lines =
      label.length > 0 && !usesLabel
        ? [{ ...this.current, tokens: asLabel(label) }, ...macro.body]
        : macro.body;
    const expansion = { macro, parameters, rotation: 0, id: this.nextId++, label: label.slice(0, 1) };
    const invocation = frame.invocation ?? { line: this.current, column: name.column };
    this.pushFrame({ kind: 'macro', lines, expansion, invocation });
    return true;
  }

  private macrosNamed(token: Token | undefined): ReturnType<MultiLineMacros['find']> {
    return token?.kind === 'identifier' && !token.escaped ? this.multiLineMacros.find(token.text) : [];
  }

  private runConditional(tokens: readonly Token[], directive: Token): boolean {
    const { conditions } = this.frame;
    const name = directive.text.slice(1).toLowerCase();
    const state = conditions[conditions.length - 1] as ConditionState | undefined;
    if (name === 'endif') {
      if (state === undefined) fail('preprocessor', '%endif without %if', directive);
      conditions.pop();
      return true;
    }
    const parsed = name === 'else' ? undefined : parseConditionDirective(name);
    if (name !== 'else' && parsed === undefined) return false;
    if (parsed !== undefined && !parsed.isElse) {
      this.openCondition(directive, () => this.ask(parsed, tokens, directive));
      return true;
    }
    if (state === undefined) fail('preprocessor', `${directive.text} without %if`, directive);
    if (state.seenElse) fail('preprocessor', `${directive.text} after %else`, directive);
    if (parsed === undefined) state.seenElse = true;
    state.active = false;
    if (state.settled) return true;
    // Settled first: an error in the question must not make later branches count.
    state.settled = true;
    const holds = parsed === undefined || this.ask(parsed, tokens, directive);
    state.active = holds;
    state.settled = holds;
    return true;
  }

  private openCondition(directive: Token, ask: () => boolean): void {
    const { frame } = this;
    const outer = isActive(frame);
    const state: ConditionState = {
      active: false,
      settled: true,
      seenElse: false,
      line: this.current,
      token: directive,
    };
    frame.conditions.push(state);
    if (!outer) return;
    state.active = ask();
    state.settled = state.active;
  }

  private ask(
    { question, negated }: NonNullable<ReturnType<typeof parseConditionDirective>>,
    tokens: readonly Token[],
    directive: Token,
  ): boolean {
    const surroundings = {
      singleLineMacros: this.singleLineMacros,
      multiLineMacros: this.multiLineMacros,
      contexts: this.contexts,
      evaluate: this.evaluate,
    };
    // In an inactive region the line has not been through the substitution of parameters.
    const operands = substituteParameters(tokens, this.frame.expansion, this.contexts).slice(1);
    return question(operands, surroundings, directive) !== negated;
  }

  private runDirective(tokens: readonly Token[], directive: Token): void {
    if (this.runConditional(tokens, directive)) return;
    const name = directive.text.slice(1).toLowerCase();
    const operands = tokens.slice(1);
    if (runDefinitionDirective(name, operands, this, directive)) return;
    const run = Object.hasOwn(FLOW_DIRECTIVES, name) ? FLOW_DIRECTIVES[name] : undefined;
    if (run === undefined)
      fail('preprocessor', `unknown preprocessor directive ${directive.text}`, directive);
    run(this, operands, directive);
  }

  readonly evaluate = (tokens: readonly Token[], directive: Token): bigint =>
    this.host.evaluate(tokens, directive);

  report(severity: 'error' | 'warning', code: string, message: string, token: Token): void {
    this.host.report(severity, code, message, originOf(this.frame, this.current), token);
  }

  beginMacro(directive: Token, macro: MultiLineMacro | undefined): void {
    this.begin({ directive, macro, isRepetition: false, repetitions: 0 });
  }

  beginRepetition(directive: Token, repetitions: number): void {
    this.begin({ directive, macro: undefined, isRepetition: true, repetitions });
  }

  private begin(block: Pick<BlockDefinition, 'directive' | 'macro' | 'isRepetition' | 'repetitions'>): void {
    this.definition = { ...block, origin: originOf(this.frame, this.current), lines: [], nested: 0 };
  }

  private endDefinition(): void {
    const { macro, lines, isRepetition, repetitions } = this.definition as BlockDefinition;
    this.definition = undefined;
    const { expansion, invocation } = this.frame;
    if (isRepetition && repetitions > 0 && lines.length > 0)
      this.pushFrame({ kind: 'repetition', lines, expansion, invocation, remaining: repetitions - 1 });
    if (macro !== undefined) this.multiLineMacros.define({ ...macro, body: lines });
  }

  include(path: string, place: Token): void {
    if (this.frames.length >= MAXIMUM_FRAMES) {
      this.abandonNesting();
      fail('macro-depth', `file '${path}' includes itself without end`, place);
    }
    const lines = this.host.readLines(path, this.current.file);
    if (lines === undefined) {
      this.host.noteIncomplete();
      fail('missing-file', `can't read file '${path}'`, place);
    }
    this.pushFrame({ kind: 'file', lines });
  }

  openContext(name: string): void {
    this.contexts.push({ name, id: this.nextId++ });
  }

  stop(): void {
    this.stopped = true;
    this.frames.length = 1;
    this.frame.conditions.length = 0;
  }
}
