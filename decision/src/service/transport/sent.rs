//! How many messages a call's caller sends, and so what bounds them.

/// What comes with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// One message.
    One,
    /// As many as its caller likes, each decided. The call takes a slot before it reads any of them, and is not read while
    /// its window is full: so many streams times the longest message is all that they hold.
    Stream,
    /// As many as its caller likes, each a question about the calls themselves. The call takes no slot, and waits with a
    /// question in hand for its caller to take the answer before: the streams themselves are counted.
    Reflection,
}

impl Sent {
    /// By the path of the call.
    pub fn by(path: &str) -> Self {
        match path {
            "/tarim.decision.v1.DecisionService/DecideStream" => Self::Stream,
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
            | "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo" => Self::Reflection,
            _ => Self::One,
        }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use prost_types::FileDescriptorSet;

    use super::*;

    #[test]
    fn every_call_that_takes_several_messages_is_known_and_no_other() {
        let mut several = Vec::new();
        for set in [
            tarim_proto::DESCRIPTORS,
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ] {
            for file in FileDescriptorSet::decode(set).expect("descriptors").file {
                for service in &file.service {
                    for method in &service.method {
                        let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                        let sent = Sent::by(&path);
                        assert_eq!(sent != Sent::One, method.client_streaming(), "{path}");
                        several.extend((sent != Sent::One).then_some(sent));
                    }
                }
            }
        }
        assert_eq!(several, [Sent::Stream, Sent::Reflection, Sent::Reflection]);
    }
}
