"""Writes hf-steps.json beside it: what Hugging Face's tokenizers 0.23.2 (pip install tokenizers) makes of each step."""
import json
from pathlib import Path

from tokenizers import Tokenizer
texts = ["", "a", "The-final--countdown", "Hey friend!     How are you?!?", " leading and trailing  ", "a\u0085b\ufeffc\u00a0d\u3000e\u200bf", "I'LL we'll 'S ſ'ſ", "1234 56٣٤ Ⅷ x2", "naïve e\u0301 ÉCOLE ΣΊΣΥΦΟΣ İı", "日本語 カタカナー text 한국어", "tabs\t\tand\r\nlines\n\n\nend\n", "😀😀a👍🏽", "snake_case camelCase {x: [1]}", "▁a▁▁b c", "<s>|x|<s>", "ⓐⅠ_‿a\u200db", "Straße ǅ ﬀ"]
def cfg(pre): return {"version":"1.0","truncation":None,"padding":None,"added_tokens":[],"normalizer":None,"pre_tokenizer":pre,"post_processor":None,"decoder":None,"model":{"type":"WordLevel","vocab":{"x":0},"unk_token":"x"}}
pres=[]
for beh in ["Removed","Isolated","MergedWithPrevious","MergedWithNext","Contiguous"]:
    for inv in [False,True]:
        for pat in [{"String":"-"},{"String":" "},{"Regex":"\\s+"},{"Regex":"\\d"},{"Regex":"[aeiou]"}]:
            pres.append({"type":"Split","pattern":pat,"behavior":beh,"invert":inv})
exprs=["(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
"'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+",
"[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
"[\\p{Han}]+|[\\p{L}&&[^\\p{Han}]]+","(?>a+)b|a","\\h+","\\A.|.\\z","^.|.$","\\b","\\w+","\\W+","[[:alpha:]]+","[[:punct:]]+","[[:upper:]]+|[[:digit:]]+","\\p{Alnum}+","(?<=a)b|(?<!a) ","a(?i)B|c","(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+","x*","(?=[A-Z])","\\p{Hiragana}|\\p{Katakana}+","\\p{Latin}+","(?m:.)+","[^a-z\\s]+","\\R","(a|e)+?n","\\d{1,3}(?=(?:\\d{3})*\\b)","(?i)ſ","\\x{41}|\\u0061","\\p{^L}+","\\P{L}+","[\\s\\S]","\\N+","[^\\S\\n]+","(?:a|b|c){1,2}","(?i:É)","\\Z","\\p{Emoji}","\\p{Cn}","\\p{Graph}+","\\p{Blank}+", "[\\h&&[^a]]+","(?x: a b )","(?-i:A)","a{,2}e","\\p{Lower}+","[\\x{61}-\\x{7a}]+"]
for e in exprs:
    for beh,inv in [("Isolated",False),("Removed",True),("MergedWithNext",False)]:
        pres.append({"type":"Split","pattern":{"Regex":e},"behavior":beh,"invert":inv})
for p in ["ByteLevel"]:
    for a in [True,False]:
        for u in [True,False]:
            pres.append({"type":"ByteLevel","add_prefix_space":a,"trim_offsets":True,"use_regex":u})
pres.append({"type":"Sequence","pretokenizers":[{"type":"Digits","individual_digits":True},{"type":"ByteLevel","add_prefix_space":True,"trim_offsets":False,"use_regex":True}]})
pres.append({"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"\\s"},"behavior":"Removed","invert":False},{"type":"ByteLevel","add_prefix_space":True,"trim_offsets":False,"use_regex":False}]})
pres.append({"type":"Sequence","pretokenizers":[{"type":"ByteLevel","add_prefix_space":False,"trim_offsets":False,"use_regex":False},{"type":"Split","pattern":{"String":"Ġ"},"behavior":"MergedWithNext","invert":False}]})
for s in ["always","first","never"]:
    for sp in [True,False]:
        pres.append({"type":"Metaspace","replacement":"▁","prepend_scheme":s,"split":sp})
        pres.append({"type":"Sequence","pretokenizers":[{"type":"WhitespaceSplit"},{"type":"Metaspace","replacement":"▁","prepend_scheme":s,"split":sp}]})
        pres.append({"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"String":"-"},"behavior":"Isolated","invert":False},{"type":"Metaspace","replacement":"_","prepend_scheme":s,"split":sp}]})
pres += [{"type":"Metaspace","replacement":"▁","add_prefix_space":True},{"type":"Metaspace","replacement":"▁","add_prefix_space":False}]
for b in ["Removed","Isolated","MergedWithPrevious","MergedWithNext","Contiguous"]: pres.append({"type":"Punctuation","behavior":b})
pres += [{"type":"Digits","individual_digits":True},{"type":"Digits","individual_digits":False},{"type":"Whitespace"},{"type":"WhitespaceSplit"},{"type":"BertPreTokenizer"},{"type":"CharDelimiterSplit","delimiter":"-"},{"type":"FixedLength","length":3},{"type":"UnicodeScripts"},
 {"type":"Sequence","pretokenizers":[{"type":"Sequence","pretokenizers":[{"type":"Whitespace"},{"type":"Digits","individual_digits":True}]},{"type":"FixedLength","length":2}]}]
out={"texts":texts,"pre_tokenizers":[],"normalizers":[]}
for p in pres:
    try: t=Tokenizer.from_str(json.dumps(cfg(p)))
    except Exception as e:
        print("refused",json.dumps(p),str(e)[:100]); continue
    res=["␟".join(w for w,_ in t.pre_tokenizer.pre_tokenize_str(x)) for x in texts]
    out["pre_tokenizers"].append([p,res])
norms=[{"type":n} for n in ["NFC","NFD","NFKC","NFKD","Lowercase","StripAccents","Nmt","ByteLevel"]]
norms+=[{"type":"Strip","strip_left":l,"strip_right":r} for l in [True,False] for r in [True,False]]
norms+=[{"type":"Prepend","prepend":"▁"},{"type":"Replace","pattern":{"String":" "},"content":"▁"},{"type":"Replace","pattern":{"String":"a"},"content":""},{"type":"Replace","pattern":{"Regex":"\\s+"},"content":"_"},{"type":"Replace","pattern":{"Regex":"(?<!a)$"},"content":"!"},{"type":"Replace","pattern":{"Regex":" {2,}"},"content":"▁"},{"type":"Replace","pattern":{"String":"-"},"content":"$1$&"}]
norms+=[{"type":"BertNormalizer","clean_text":c,"handle_chinese_chars":h,"strip_accents":s,"lowercase":l} for c,h,s,l in [(True,True,None,True),(True,True,None,False),(False,True,True,False),(True,False,False,True)]]
norms+=[{"type":"Sequence","normalizers":[{"type":"NFD"},{"type":"StripAccents"},{"type":"Sequence","normalizers":[{"type":"Lowercase"},{"type":"Prepend","prepend":"x"}]}]}]
for n in norms:
    c=cfg(None); c["normalizer"]=n
    try: t=Tokenizer.from_str(json.dumps(c))
    except Exception as e: print("refused",json.dumps(n),str(e)[:100]); continue
    def norm(x):
        try: return t.normalizer.normalize_str(x)
        except BaseException as e: return None
    out["normalizers"].append([n,[norm(x) for x in texts]])
rows = lambda key: ",\n".join(json.dumps(row, ensure_ascii=False) for row in out[key])
table = '{"texts":[\n' + rows("texts") + '],"pre_tokenizers":[\n' + rows("pre_tokenizers") + '],"normalizers":[\n' + rows("normalizers") + "]}\n"
Path(__file__).with_name("hf-steps.json").write_text(table)
print(len(out["pre_tokenizers"]),len(out["normalizers"]))
