import type { YAMLError } from 'yaml'

export interface SyntaxMistake {
  readonly message: string
  readonly help?: string
}

const indented = 'lines of one mapping or list begin in the same column; use spaces'
const quoted = 'put the text in quotes'

/** Rewrites the parser's error in plain words, since its own text uses terms of its grammar. */
export function describeSyntaxError({ code, message }: Pick<YAMLError, 'code' | 'message'>): SyntaxMistake {
  switch (code) {
    case 'TAB_AS_INDENT':
      return { message: 'a tab as indentation', help: 'use spaces' }
    case 'BAD_INDENT':
      return /end with a ([\]}])/.test(message)
        ? unclosed(/a ([\]}])/.exec(message)?.[1])
        : { message: 'the indentation does not fit', help: indented }
    case 'BLOCK_AS_IMPLICIT_KEY':
      return {
        message: 'a second ": " on one line, or a value before lines that are indented below it',
        help: `${quoted}, or fix the indentation`,
      }
    case 'MULTILINE_IMPLICIT_KEY':
      return { message: 'a key without ": " after it, or wrong indentation', help: 'write KEY: VALUE with a space after the colon' }
    case 'BAD_SCALAR_START':
      return { message: 'a text cannot begin with this character', help: quoted }
    case 'BAD_DQ_ESCAPE':
      return {
        message: 'a backslash in double quotes begins an escape, and this one does not exist',
        help: 'use single quotes, or write \\\\',
      }
    case 'TAG_RESOLVE_FAILED':
      return { message: 'an unknown tag', help: 'remove the word that begins with "!", or put the text in quotes' }
    case 'MISSING_CHAR':
      return missing(message)
    case 'UNEXPECTED_TOKEN':
      return /Block scalar header/.test(message)
        ? { message: 'text on the line of "|" or ">"', help: 'begin the text on the next line, indented' }
        : {
            message: 'something stands here that does not belong to what is before it',
            help: 'a text with quotes or brackets in it needs quotes around all of it',
          }
    case 'BLOCK_IN_FLOW':
      return { message: 'lines with "- " or "key:" inside [ ] or { }', help: 'separate entries by commas, or write all of it as lines' }
    case 'BAD_DIRECTIVE':
      return { message: 'a line that begins with %', help: 'remove it' }
    case 'BAD_ALIAS':
    case 'ALIAS_PROPS':
    case 'MULTIPLE_ANCHORS':
    case 'MULTIPLE_TAGS':
    case 'BAD_PROP_ORDER':
      return { message: 'an anchor (&), alias (*) or tag (!) that cannot stand like this', help: `${quoted} if it is a text` }
    case 'KEY_OVER_1024_CHARS':
      return { message: 'a key of more than 1024 characters' }
    case 'BAD_COLLECTION_TYPE':
    case 'DUPLICATE_KEY':
    case 'IMPOSSIBLE':
    case 'MULTIPLE_DOCS':
    case 'NON_STRING_KEY':
    case 'RESOURCE_EXHAUSTION':
      return { message: 'it cannot be parsed from here on' }
    default:
      return code satisfies never
  }
}

function unclosed(bracket: string | undefined): SyntaxMistake {
  return { message: `a ${bracket === '}' ? '{' : '['} that is not closed`, help: `close it with ${bracket ?? ']'}` }
}

function missing(message: string): SyntaxMistake {
  const quote = /closing (["'])/.exec(message)?.[1]
  if (quote !== undefined)
    return { message: `a ${quote} that is not closed`, help: `close it with ${quote}; inside single quotes, write a quote twice` }
  if (/followed by map values|Missing directives|Missing space/.test(message)) {
    return {
      message: 'a line without "key:"',
      help: 'write KEY: VALUE with a space after the colon; a text of several lines needs | after its key',
    }
  }
  if (/Missing , /.test(message))
    return { message: 'a comma is missing between entries', help: 'separate entries in [ ] and { } by commas' }
  if (/without - indicator/.test(message)) return { message: 'an entry of a list without "- "', help: indented }
  const end = /end with a ([\]}])/.exec(message)?.[1]
  return end === undefined ? { message: 'a space is missing here', help: 'put a space before # and after ":"' } : unclosed(end)
}
