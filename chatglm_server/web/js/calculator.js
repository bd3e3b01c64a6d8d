// Arithmetic in words that models write. It is a parser of its own: a model's text is never run as a program.

const MAX_LENGTH = 1000;
const MAX_DEPTH = 50;

/** @type {Record<string, (...values: number[]) => number>} */
const FUNCTIONS = {
  abs: Math.abs,
  acos: Math.acos,
  asin: Math.asin,
  atan: Math.atan,
  ceil: Math.ceil,
  cos: Math.cos,
  exp: Math.exp,
  floor: Math.floor,
  ln: Math.log,
  log: Math.log10,
  log10: Math.log10,
  log2: Math.log2,
  max: Math.max,
  min: Math.min,
  round: Math.round,
  sin: Math.sin,
  sqrt: Math.sqrt,
  tan: Math.tan,
};
/** @type {Record<string, number>} */
const CONSTANTS = { pi: Math.PI, e: Math.E };

const TOKEN = /\s*(?:(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)|([A-Za-z]\w*)|(\*\*|[-+*/%^(),]))/y;

/**
 * The value of an expression: + - * / % ^ (or **), brackets, functions, pi and e.
 * @param {string} expression
 * @returns {number}
 * @throws {Error}  says what is wrong, and where
 */
export function calculate(expression) {
  if (expression.length > MAX_LENGTH) throw new Error(`the expression has more than ${MAX_LENGTH} characters`);
  const parser = new Parser(tokens(expression.replace(/[×·]/g, "*").replace(/[÷]/g, "/").replace(/[−–]/g, "-")));
  const value = parser.sum(0);
  parser.expect("");
  if (!Number.isFinite(value)) throw new Error("the result is not a finite number");
  return value;
}

/** @param {string} text @returns {string[]} */
function tokens(text) {
  const found = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.trimEnd().length) {
    const start = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (match === null) throw new Error(`cannot read ${JSON.stringify(text.slice(start).trim().slice(0, 20))}`);
    found.push(match[1] ?? match[2] ?? match[3]);
  }
  return found;
}

class Parser {
  /** @param {string[]} tokens */
  constructor(tokens) {
    this.tokens = tokens;
    this.place = 0;
  }

  /** @param {string[]} wanted @returns {string} the next token if it is one of these, or else "" */
  take(...wanted) {
    const token = this.tokens[this.place] ?? "";
    if (!wanted.includes(token)) return "";
    this.place += 1;
    return token;
  }

  /** @param {string} token  "": the end */
  expect(token) {
    const found = this.tokens[this.place] ?? "";
    if (found !== token) {
      throw new Error(`${found ? JSON.stringify(found) : "the end"} stands where ${token || "the end"} should`);
    }
    this.place += 1;
  }

  /** @param {number} depth @returns {number} */
  sum(depth) {
    if (depth > MAX_DEPTH) throw new Error(`brackets are nested more than ${MAX_DEPTH} deep`);
    let value = this.product(depth);
    for (let sign; (sign = this.take("+", "-")); ) {
      const other = this.product(depth);
      value = sign === "+" ? value + other : value - other;
    }
    return value;
  }

  /** @param {number} depth @returns {number} */
  product(depth) {
    let value = this.signed(depth);
    for (let sign; (sign = this.take("*", "/", "%")); ) {
      const other = this.signed(depth);
      if (sign !== "*" && other === 0) throw new Error("division by zero");
      value = sign === "*" ? value * other : sign === "/" ? value / other : value % other;
    }
    return value;
  }

  /** @param {number} depth @returns {number} */
  signed(depth) {
    let sign = 1;
    for (let found; (found = this.take("+", "-")); ) if (found === "-") sign = -sign;
    return sign * this.power(depth);
  }

  /** @param {number} depth @returns {number} */
  power(depth) {
    const base = this.value(depth);
    if (!this.take("^", "**")) return base;
    if (depth >= MAX_DEPTH) throw new Error(`powers are nested more than ${MAX_DEPTH} deep`);
    return base ** this.signed(depth + 1); // 2^-3^2 is 2^(-(3^2))
  }

  /** @param {number} depth @returns {number} */
  value(depth) {
    const token = this.tokens[this.place] ?? "";
    this.place += 1;
    if (token === "(") {
      const value = this.sum(depth + 1);
      this.expect(")");
      return value;
    }
    const name = token.toLowerCase();
    if (/^[\d.]/.test(token)) return Number(token);
    if (Object.hasOwn(CONSTANTS, name)) return CONSTANTS[name];
    if (!Object.hasOwn(FUNCTIONS, name)) {
      throw new Error(`${token ? JSON.stringify(token) : "the end"} stands where a number or a function should`);
    }
    this.expect("(");
    const values = [this.sum(depth + 1)];
    while (this.take(",")) values.push(this.sum(depth + 1));
    this.expect(")");
    return FUNCTIONS[name](...values);
  }
}
