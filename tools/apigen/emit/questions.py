# SPDX-License-Identifier: Apache-2.0
"""questions_asked.c: how to call each function with arguments that make sense, and how each of them
may be changed to one that does not.  tests/apigen/questions.c asks; questions_state.c makes the
objects that the arguments here name."""

import re

from model import Callback, CType, Enum, SCALARS

from . import NOTICE

# Kinds of handles of which there is a maker, MAKER() in questions_state.c.
MADE = {
    "CUcontext": "context", "CUmodule": "module", "CUfunction": "function",
    "CUlibrary": "library", "CUkernel": "kernel", "CUarray": "array",
    "CUmipmappedArray": "mipmap", "CUtexref": "texref", "CUsurfref": "surfref",
    "CUevent": "event", "CUstream": "stream", "CUgraph": "graph", "CUgraphNode": "node",
    "CUgraphExec": "exec", "CUmemoryPool": "pool", "CUuserObject": "user_object",
    "CUgreenCtx": "green", "CUlinkState": "linker", "CUdevResourceDesc": "resource_desc",
    "CUmemGenericAllocationHandle": "allocation", "CUtexObject": "texture",
    "CUsurfObject": "surface", "CUdeviceptr": "memory", "CUgraphConditionalHandle": "",
    "CUlogsCallbackHandle": "logs_callback",
}

# What a pointer to a type points at, where that is read.
POINTED = {
    "CUgraphNodeParams *": "node_params()",
    "CUDA_GRAPH_INSTANTIATE_PARAMS *": "zeros(I)",
    "CUDA_LAUNCH_PARAMS *": "launch_params()", "CUmemLocation *": "location()",
    "CUDA_MEMCPY3D_BATCH_OP *": "batch_op()", "CUmemcpyAttributes *": "copy_attributes()",
    "CUmem_range_attribute *": "number(I, 1)", "CUpointer_attribute *": "number(I, 2)",
    "CUstreamBatchMemOpParams *": "mem_op()", "CUctxCreateParams *": "zeros(I)",
    "CUexecAffinityParam *": "zeros(I)", "CUjit_option *": "zeros(I)",
    "CUlibraryOption *": "zeros(I)", "CUmemPoolPtrExportData *": "zeros(I)",
    "CUDA_MEM_ALLOC_NODE_PARAMS *": "alloc_params()", "CUstreamCaptureMode *": "zeros(I)",
    "CUlogIterator *": "log_iterator(I)",
    "const CUDA_MEMCPY3D *": "copy3d()", "const CUDA_MEMCPY3D_PEER *": "copy3d_peer()",
    "const CUDA_MEMCPY2D *": "copy2d()", "const CUgraphNode *": "nodes()",
    "const CUDA_KERNEL_NODE_PARAMS *": "kernel_params()",
    "const CUDA_KERNEL_NODE_PARAMS_v1 *": "kernel_params()",
    "const CUDA_MEMSET_NODE_PARAMS *": "memset_params()",
    "const CUDA_HOST_NODE_PARAMS *": "host_params()",
    "const CUDA_BATCH_MEM_OP_NODE_PARAMS *": "mem_op_params()",
    "const CUlaunchConfig *": "launch_config()", "const CUmemAccessDesc *": "device_access()",
    "const CUDA_ARRAY_DESCRIPTOR *": "array_desc()",
    "const CUDA_ARRAY3D_DESCRIPTOR *": "array3d_desc()",
    "const CUDA_RESOURCE_DESC *": "resource()", "const CUDA_TEXTURE_DESC *": "zeros(I)",
    "const CUmemAllocationProp *": "allocation_prop()", "const CUmemPoolProps *": "pool_props()",
    "const CUmemLocation *": "location()", "const CUdevResource *": "sm_resource()",
    "const cuuint64_t *": "number(I, 64)", "const cuuint32_t *": "number(I, 1)",
    "const CUDA_RESOURCE_VIEW_DESC *": "0",
}

# The same, by the function (a pattern) and the parameter; of values too.
BY_NAME = [
    (r"cuGraphGet(Nodes|RootNodes|Edges\w*)|cuGraphNodeGetDepend\w+", r"num\w+",
     "number(I, 1)"),
    (r"cuMem(Prefetch|Discard)\w*Batch\w*", "dptrs", "number(I, managed())"),
    (r"cuMem\w+Batch\w*", r"dsts|dptrs", "number(I, memory())"),
    (r"cuMemcpyBatch\w*", "srcs", "number(I, memory() + 4096)"),
    (r"cuMemRangeGetAttributes", "dataSizes", "number(I, 4)"),
    (r".*", "sizes", "number(I, 64)"),
    (r".*", "attrsIdxs|prefetchLocIdxs", "zeros(I)"),
    (r"cuMemRangeGetAttributes|cuPointerGetAttributes", "data", "pointers(I)"),
    (r"cuMemRangeGetAttribute$", "dataSize", "4"),
    (r"cuMem(Prefetch|Advise|Range|Discard).*", "devPtr", "managed()"),
        (r"cuStreamAttachMemAsync", "dptr", "managed()"),
    (r"cuStreamAttachMemAsync", "length", "0"),
    (r"cuStreamAttachMemAsync", "flags", "4"),
    (r"cuMem(HostGetDevicePointer_v2|HostGetFlags|FreeHost)", "p", "pinned()"),
    (r"cuMemHostRegister.*", "p", "pages()"),
    (r"cuMemHostRegister.*", "bytesize", "4096"),
    (r"cuMemHostUnregister", "p", "registered()"),
    (r"cuLink(Add|Create).*|cuModuleLoad.*|cuLibraryLoad.*", "num(Jit|Library)?Options", "0"),
    (r"cuModuleLoad(Data.*|FatBinary)|cuLibraryLoadData", "image|fatCubin|code", "code"),
    (r"cuLinkAddData.*", "data", "code"), (r"cuLinkAddData.*", "size", "code_bytes"),
    (r"cuLinkAddData.*|cuLinkAddFile.*", "type", "CU_JIT_INPUT_PTX"),
    (r"cuLinkAddData.*", "name", '"text"'),
    (r"cuModuleLoad|cuLibraryLoadFromFile|cuLinkAddFile.*", "fname|fileName|path", "code_file"),
    (r"cuModuleGetFunction|cuLibraryGetKernel", "name", '"asked"'),
    (r"cuModuleGetGlobal_v2|cuLibraryGetGlobal", "name", '"word"'),
    (r"cuModuleGetTexRef|cuModuleGetSurfRef|cuLibraryGet\w+", "name", '"nothing"'),
    (r"cuGraphDebugDotPrint|cuLogsDumpToFile", "path\\w*", '"/dev/null"'),
    (r"cuLogsDumpTo\w+", "size", "number(I, 4096)"),
    (r"cuGetProcAddress.*", "symbol", '"cuInit"'), (r"cuGetProcAddress.*", "cudaVersion", "12000"),
    (r"cuDeviceGetByPCIBusId", "pciBusId", "bus_id()"),
    (r"cuDeviceGetName|cuDeviceGetPCIBusId", "len", "64"),
    (r"cuDeviceGet", "ordinal", "0"),
    (r".*", "ppExportTable", "out(I)"), (r".*", "pExportTableId", "zeros(I)"),
    (r"cuLaunch(Grid(Async)?)?", "f", "shaped_function()"),
    (r"cuLaunch.*", "kernelParams", "arguments()"), (r".*", "extra", "0"),
    (r"cuLaunchKernel|cuLaunchCooperativeKernel", "sharedMemBytes", "0"),
    (r"cuStream(Wait|Write)Value\w+", "value", "0"),
    (r"cuMemFree(_v2|Async)?", "dptr", "own_memory()"),
    (r"cuCtx(Destroy|Detach).*", "ctx", "other_context()"),
    (r"cuCtx(Enable|Disable)PeerAccess", "peerContext", "context()"),
    (r"cuMemMap", "ptr", "reserved()"),
    (r"cuMem(Map|Unmap|SetAccess|AddressFree|Create|AddressReserve)", "size", "GRAIN"),
    (r"cuMemMap", "offset", "0"), (r"cuMemAddressReserve", "alignment|addr", "0"),
    (r"cuMem(Unmap|SetAccess|GetAccess)", "ptr", "mapped()"),
    (r"cuMemAddressFree", "ptr", "reserved()"),
    (r"cuMemRetainAllocationHandle", "addr", "mapped()"),
    (r"cuMem(Import|PoolImport)FromShareableHandle", "osHandle|handle", "-1"),
    (r"cuMem.*Shareable.*", "\\w*[hH]andleType", "CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR"),
    (r"cuMemPoolExportToShareableHandle", "pool", "shared_pool()"),
    (r"cuMemPoolExportPointer", "ptr", "pool_memory()"),
    (r"cuPointerSetAttribute", "attribute", "CU_POINTER_ATTRIBUTE_SYNC_MEMOPS"),
    (r"cuPointerSetAttribute", "value", "number(I, 1)"),
    (r"cu(Device|MemPool)(Set|Get)\w*Attribute", "value", "zeros(I)"),
    (r"cuMem(Get|Set)(Default)?MemPool", "type", "CU_MEM_ALLOCATION_TYPE_PINNED"),
    (r"cuMemAllocManaged", "flags", "CU_MEM_ATTACH_GLOBAL"),
    (r"cuMemAllocPitch_v2", "ElementSizeBytes", "4"),
    (r"cuMemsetD2D\w+", "dstPitch", "512"), (r"cuMemsetD2D\w+", "Width|Height", "4"),
    (r"cuMemcpyPeer.*", "srcDevice", "memory() + 4096"),
    (r"cuMemcpy(DtoD|Async|)(_v2|Async_v2|)", "src|srcDevice", "memory() + 4096"),
    (r"cuMemcpy\w*A\w*", "(dst|src)Offset", "0"),
    (r"cuGraph(Add|Remove)Dependencies.*", "to", "second_nodes()"),
    (r"cuGraph(Add|Remove)Dependencies.*", "edgeData", "0"),
    (r"cuGraphAddNode_v2|cuStream\w+", "dependencyData", "0"),
    (r"cuGraph(Get|Node)\w+", "edgeData", "0"),
    (r"cuGraphAdd\w+Node", "numDependencies", "1"),
    (r"cuGraphAddChildGraphNode|cuGraphExecChildGraphNodeSetParams", "childGraph",
     "child_graph()"),
    (r"cuGraphAddMemFreeNode", "dptr", "graph_memory()"),
    (r"cuGraphInstantiate(_v2)?", "bufferSize", "64"),
    (r"cuGraphNodeFindInClone", "hClonedGraph", "cloned_graph()"),
    (r"cuGraphKernelNodeCopyAttributes", "src", "second_node()"),
    (r"cuGraph(Kernel\w+|\w+)Attribute", "attr", "2"),
    (r"cuStream(Get|Set)Attribute", "attr", "3"),
    (r"cuStreamSetAttribute", "param", "number(I, 1)"),
    (r"cuGraphKernelNodeSetAttribute", "value", "zeros(I)"),
    (r"cuStreamCopyAttributes", "srcStream", "second_stream()"),
    (r"cuStreamUpdate\w+", "dependencies", "nodes()"),
    (r"cuStreamEndCapture", "hStream", "capturing()"),
    (r"cuFuncGetAttribute|cuKernelGetAttribute", "attrib", "0"),
    (r"cuFuncSetAttribute|cuKernelSetAttribute", "attrib", "8"),
    (r"cu(Func|Kernel)GetParamInfo", "paramIndex", "0"),
    (r"cuParamSet\w+", "offset", "0"), (r"cuParamSet(Size|v)", "numbytes", "8"),
    (r"cuParamSetv", "ptr", "zeros(I)"), (r"cuParamSetTexRef", "texunit", "-1"),
    (r"cuOccupancy\w+", "blockSizeLimit|dynamicSMemSize", "0"),
    (r"cuOccupancy(MaxActiveBlocks|Available)\w+", "blockSize", "32"),
    (r"cuDeviceSetGraphMemAttribute", "attr", "1"),
    (r"cuEventElapsedTime.*", "hStart|hEnd", "recorded()"),
    (r"cuIpcGetEventHandle", "event", "interprocess_event()"),
    (r"cuMipmappedArrayCreate", "numMipmapLevels", "1"),
    (r"cuMipmappedArrayGetLevel|cuArrayGetPlane", "level|planeIdx", "0"),
    (r"cuTexRefSetAddress2D.*", "Pitch", "512"), (r"cuTexRef\w+AddressMode", "dim", "0"),
    (r"cuTexRefSetBorderColor", "pBorderColor", "zeros(I)"),
    (r"cuTensorMap.*", "globalAddress", "memory()"),
    (r"cuTensorMapReplaceAddress", "tensorMap", "tensor_map()"),
    (r"cuDeviceGetTexture1DLinearMaxWidth", "format", "CU_AD_FORMAT_UNSIGNED_INT8"),
    (r"cuTensorMap.*", "tensorRank", "3"), (r"cuTensorMap.*", "globalDim", "dims(I)"),
    (r"cuTensorMap.*", "globalStrides", "strides(I)"),
    (r"cuTensorMap.*", "elementStrides", "ones(I)"),
    (r"cuTensorMap.*", "boxDim", "box(I)"),
    (r"cuTensorMap.*", "pixelBox\\w+Corner", "zeros(I)"),
    (r"cuTensorMap.*", "pixelBox\\w+Width", "0"),
    (r"cuTensorMap.*", "channelsPerPixel|pixelsPerColumn", "16"),
    (r"cuTensorMapEncodeIm2colWide", "swizzle", "3"),
    (r"cuTensorMap.*Wide", "mode", "0"),
    (r"cuDevResourceGenerateDesc", "resources", "sm_resource()"),
    (r"cuDevSmResourceSplitByCount", "nbGroups", "number(I, 1)"),
    (r"cuDevSmResourceSplitByCount", "minCount", "8"),
    (r"cu(Device|Ctx|GreenCtx)GetDevResource", "type", "1"),
    (r"cuGreenCtxCreate", "flags", "1"), (r"cuGreenCtxStreamCreate", "flags", "1"),
    (r"cuGreenCtxStreamCreate|cuStreamCreateWithPriority", "priority", "0"),
    (r"cuDeviceGetP2P\w+|cuDeviceGetHostAtomic\w+", "operations", "zeros(I)"),
    (r"cuDeviceGetP2PAttribute", "attrib", "1"),
    (r"cuCtxSetLimit", "value", "4096"), (r"cuCtx[SG]etLimit", "limit", "0"),
    (r"cuUserObjectCreate", "flags", "1"),
    (r"cuArray(3D)?\w*|cuMipmap\w*", "(pHandle|pPlaneArray|pLevelArray)", "out(I)"),
    (r".*", "userData|configFile|outputFile", "zeros(I)"),
    (r"cuUserObjectCreate", "ptr", "zeros(I)"),
    (r"cuMemcpy\w+", "srcHost", "zeros(I)"),
    (r"cuLinkCreate.*|cuLinkAdd.*|cuModule.*|cuLibrary.*", "\\w*[oO]ption\\w*Values",
     "zeros(I)"),
    (r"cuMemcpyBatch\w+|cuMemcpy3DBatch\w+|cuMem\w+Batch\w+",
     "count|numAttrs|numOps|numPrefetchLocs", "1"),
    (r"cuMemPoolTrimTo", "minBytesToKeep", "0"),
    (r"cuMemPoolSetAccess|cuMemSetAccess", "count", "1"),
    (r"cuMemRangeGetAttributes", "numAttributes", "1"),
    (r"cuCtxAttach", "flags", "0"),
]

# Parameters that are left as they are, because of what a change would do.
FIXED = [
    (r"cuStream(Wait|Write)Value\w+", "value"),	# a wait that does not end
    (r"cuLaunch\w+", "gridDimX|grid_width"),	# a launch of minutes
    (r"cuMemsetD2D\w+", "Height"),		# the driver goes through rows without end
    (r"cuMemAllocHost", "bytesize"),		# 4 GiB of the machine's memory, pinned
    (r"cuCtxSetLimit", "value"),		# the device's memory
]

# The node that a function wants, by its name.
NODES = [("KernelNode", "KERNEL"), ("MemcpyNode", "COPY"), ("MemsetNode", "SET"),
         ("HostNode", "HOST"), ("ChildGraph", "CHILD"), ("EventRecord", "RECORD"),
         ("EventWait", "WAIT"), ("BatchMemOp", "MEM_OP"), ("MemAllocNode", "ALLOC"),
         ("MemFreeNode", "FREE"), ("NodeSetParams", "KERNEL"), ("SetEnabled", "KERNEL"),
         ("GetEnabled", "KERNEL")]

# What else its process would be asked has another answer once it has succeeded.
ALONE = re.compile(r"cuDevicePrimaryCtxRe(set|lease)|cuCtx(Detach|Destroy)")


def by_name(f, p):
    for fn, name, value in BY_NAME:
        if re.fullmatch(fn, f.name) and re.fullmatch(name, p.name):
            return value
    return None


def enum_of(model, ctype):
    t = model.types.get(model.resolve(ctype, ("", 0)).base)
    return t if not ctype.stars and isinstance(t, Enum) else None


def kind(model, f, p):
    """(KIND_..., maker of the handle or "", the first value that an enum has not)."""
    t = p.ctype
    if t.stars:
        return "POINTER", "", 0
    if t.base == "CUdevice":
        return "DEVICE", "", 0
    if t.base in MADE:
        return ("ADDRESS" if t.base == "CUdeviceptr" else "HANDLE"), MADE[t.base], 0
    e = enum_of(model, t)
    if e:
        top = max([v for n, v, _ in e.items if v < 0x7fffffff and not n.endswith("_MAX")] or [0])
        return "ENUM", "", top + 1
    r = model.resolve(t, p.where)
    if r.stars or isinstance(model.types.get(r.base), Callback):
        return "POINTER", "", 0
    if model.struct(t.base):
        return "STRUCT", "", 0
    if model.handle(t):
        return "HANDLE", "", 0
    if r.base in ("float", "double"):
        return "FLOAT", "", 0
    if re.search(r"flags$", p.name, re.I):
        return "FLAGS", "", 0
    return "NUMBER", "", 0


def value(model, f, p, k):
    named = by_name(f, p)
    t = p.ctype
    if named is not None:
        return named
    if k == "POINTER":
        text = t.text()
        if text in POINTED:
            return POINTED[text]
        if isinstance(model.types.get(model.resolve(t, p.where).base), Callback) and not t.stars:
            return "callback"
        return "out(I)"
    if k in ("HANDLE", "ADDRESS"):
        maker = MADE.get(t.base, "")
        return f"{maker}()" if maker else "0"
    if k == "DEVICE":
        return "0"
    if k == "ENUM":
        return str(min(v for _, v, _ in enum_of(model, t).items))
    if k == "STRUCT":
        return "location()" if t.base == "CUmemLocation" else "zeros(I)"
    if k == "FLAGS":
        return "0"
    if k == "FLOAT":
        return "0.5f"
    return "64" if t.base == "size_t" and not re.match(r"num", p.name) else "1"


def argument(model, p, i):
    t = p.ctype
    text = CType(t.base, t.stars, t.const).text()
    r = model.resolve(t, p.where)
    if not t.stars and not r.stars and model.struct(t.base):
        return f"*({text} *)v[{i}].p"
    if r.base in ("float", "double") and not t.stars:
        return f"v[{i}].f"
    h = model.handle(t)
    if t.stars or r.stars or isinstance(model.types.get(r.base), Callback) or \
            (h and h.tag):
        return f"({text})v[{i}].p"
    return f"({text})v[{i}].u"


def target(model, p):
    """Bytes of what it points at, 0 if that is not known."""
    t = p.ctype
    if t.stars.count("*") > 1:
        return 8
    known = t.stars and t.base != "void"
    return model.size_align(CType(t.base), p.where)[0] if known else 0


def emit(model):
    o = [NOTICE, '#include "questions.h"\n']
    table = []
    for f in model.exported():
        if model.disposition(f) == "refused":
            continue
        rows, sets = [], []
        node = next((n for word, n in NODES if word in f.name), "EMPTY")
        for i, p in enumerate(f.params):
            k, maker, top = kind(model, f, p)
            v = value(model, f, p, k).replace("(I", f"({i}")
            fixed = any(re.fullmatch(a, f.name) and re.fullmatch(b, p.name) for a, b in FIXED)
            size = model.size_align(p.ctype, p.where)[0]
            stale = f"stale_{maker}" if maker and k in ("HANDLE", "ADDRESS") else "NULL"
            rows.append(f'\t{{ "{p.name}", {"KIND_FIXED" if fixed else "KIND_" + k}, {size}, '
                        f"{target(model, p)}, {top}, {stale} }},")
            r = model.resolve(p.ctype, p.where)
            if k == "FLOAT":
                sets.append(f"\tv[{i}].f = {v};")
            else:
                sets.append(f"\tv[{i}].u = (uint64_t)({v});")
        if rows:
            o += [f"static const struct param params_{f.name}[] = {{"] + rows + ["};\n"]
        o.append(f"static void set_{f.name}(union value *v)\n{{\n\tnode_kind = NODE_{node};"
                 "\n\t(void)v;")
        o += sets + ["}\n"]
        args = ", ".join(argument(model, p, i) for i, p in enumerate(f.params))
        for name in [f.name] + [f"{f.name}_{s}" for s, _ in f.variants]:
            o.append(f"static CUresult call_{name}(const union value *v)\n{{\n\t(void)v;\n"
                     f"\treturn {name}({args});\n}}\n")
            how = "ASK_ALONE" if ALONE.match(f.name) else "0"
            if name != f.name:
                how += " | ASK_LITTLE"
            table.append(f'\t{{ "{name}", set_{f.name}, call_{name}, '
                         f'{"params_" + f.name if rows else "NULL"}, {len(rows)}, {how} }},')
    o.append("const struct asked asked[] = {")
    o += table
    o.append("};\n\nconst unsigned int asked_count = sizeof(asked) / sizeof(asked[0]);\n")
    return "\n".join(o)
